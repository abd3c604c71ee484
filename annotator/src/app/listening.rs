//! From an address as typed to a server that listens there. It is put together by hand, because every
//! connection is watched ([`WatchedStream`]).

use crate::{
    config::ListenAddress,
    web::{connection::WatchedStream, request_body, request_log::log_dropped},
};
use actix_http::{HttpService, Request, Response};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, map_config,
};
use actix_web::{
    Error,
    body::MessageBody,
    dev::{AppConfig, Server, fn_service},
    rt::net::TcpStream,
};
use anyhow::{Context, anyhow};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{Domain, Protocol, Socket, Type};
use std::{
    fmt,
    future::ready,
    io::{self, ErrorKind},
    net::{SocketAddr, TcpListener, ToSocketAddrs},
    time::Duration,
};

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1024;

/// Connections of each core at once; more wait. Each may hold some hundred kilobytes.
const MAX_CONNECTIONS: usize = 2_000;

/// Files that may be open at once: the connections of sixteen cores, and the rest.
const MAX_FILES: u64 = 65_536;

/// How long the first request of a connection may take to come.
const FIRST_REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may take to end, and what is still sent there is dropped.
const END_PATIENCE: Duration = Duration::from_secs(5);

/// How long requests in flight may take when the server stops, in seconds.
const STOP_PATIENCE: u64 = 10;

/// Listens there with the app; where it can be reached then.
pub(super) fn start<F, I, S, B>(
    listen: &ListenAddress,
    app: F,
) -> anyhow::Result<(Server, ListenAddress)>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig, Error = Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    open_many_files();
    let listeners = bind(listen).map_err(|error| cannot_listen(listen, &error))?;
    let port = listeners.first().context("the server has no address")?.local_addr()?.port();
    let mut server = Server::build()
        .disable_signals()
        .shutdown_timeout(STOP_PATIENCE)
        .max_concurrent_connections(MAX_CONNECTIONS);
    for listener in listeners {
        let (app, stop) = (app.clone(), server.graceful_shutdown_signal());
        server = server.listen("annotator", listener, move || {
            let stop = stop.clone();
            let app = app().into_factory().map_err(|error| error.error_response());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stop = stop.clone();
                    async move { stop.notified().await }
                })
                .client_request_timeout(FIRST_REQUEST_PATIENCE)
                .client_disconnect_timeout(END_PATIENCE)
                // A client that hangs up is gone, and what it asked of a model is not waited for.
                .h1_allow_half_closed(false)
                .expect(fn_service(|request: Request| ready(request_body::may_be_sent(request))))
                .on_connect_ext(|stream: &WatchedStream, to_requests| stream.introduce(to_requests))
                .h1(map_config(app, |()| AppConfig::default()));
            let watch = |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                ready(Ok((WatchedStream::accept(stream), peer)))
            };
            let told = apply_fn_factory(http, |(stream, peer), http| {
                let served = http.call((stream, peer));
                async move { served.await.inspect_err(|error| log_dropped(peer, error)) }
            });
            fn_service(watch).and_then(told)
        })?;
    }
    Ok((server.run(), ListenAddress { port, ..listen.clone() }))
}

/// Every connection is an open file, and systems allow a thousand unless a program asks for more.
fn open_many_files() {
    let allowed = getrlimit(Resource::Nofile);
    let wanted = allowed.maximum.unwrap_or(MAX_FILES).min(MAX_FILES);
    if allowed.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted), maximum: allowed.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "cannot allow more open files");
        }
    }
}

/// A socket for every address of the host: `localhost` has two. Where one of them works, that is
/// enough.
fn bind(listen: &ListenAddress) -> io::Result<Vec<TcpListener>> {
    let mut addresses: Vec<SocketAddr> = listen.to_string().to_socket_addrs()?.collect();
    if listen.port == 0 {
        addresses.truncate(1); // two would have two ports
    }
    let (mut bound, mut refused) = (Vec::new(), None);
    for address in addresses {
        match bind_one(address) {
            Ok(listener) => bound.push(listener),
            Err(error) => refused = Some(error),
        }
    }
    match refused.filter(|_| bound.is_empty()) {
        None if !bound.is_empty() => Ok(bound),
        refused => Err(refused.unwrap_or_else(|| ErrorKind::AddrNotAvailable.into())),
    }
}

fn bind_one(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Why, and what to do about it.
fn cannot_listen(listen: &ListenAddress, error: &io::Error) -> anyhow::Error {
    let why = match error.kind() {
        ErrorKind::AddrInUse => {
            "another program listens there already; stop it, or choose".to_owned()
        }
        ErrorKind::PermissionDenied => "this user may not use that port; choose".to_owned(),
        ErrorKind::AddrNotAvailable => "this machine has no such address; choose".to_owned(),
        _ if error.raw_os_error().is_none() => {
            format!("no host {} is known here; choose", listen.host)
        }
        _ => format!("{error}; choose"),
    };
    anyhow!("cannot listen on {listen}: {why} another address with --listen")
}
