//! A connection that can be cut: what lies between a browser and a server on a bad day.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

/// Forwards connections of this machine to a server until it is dropped.
pub(crate) struct TcpProxy {
    pub(crate) address: SocketAddr,
    cut: watch::Sender<u64>,
    is_open: Arc<AtomicBool>,
    n_accepted: Arc<AtomicUsize>,
    server: Arc<Mutex<String>>,
    accepting: JoinHandle<()>,
}

impl TcpProxy {
    /// `server` is an address such as `127.0.0.1:8080`.
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (cut, cuts) = watch::channel(0);
        let is_open = Arc::new(AtomicBool::new(true));
        let n_accepted = Arc::new(AtomicUsize::new(0));
        let server = Arc::new(Mutex::new(server.to_owned()));
        let (leads_to, open, accepted) = (server.clone(), is_open.clone(), n_accepted.clone());
        let accepting = tokio::spawn(async move {
            while let Ok((browser, _)) = listener.accept().await {
                if open.load(Ordering::SeqCst) {
                    accepted.fetch_add(1, Ordering::SeqCst);
                    let server = leads_to.lock().expect("a plain text").clone();
                    tokio::spawn(forward(browser, server, cuts.clone()));
                }
            }
        });
        Self { address, cut, is_open, n_accepted, server, accepting }
    }

    /// Forwards new connections to another server.
    pub(crate) fn lead_to(&self, server: &str) {
        server.clone_into(&mut self.server.lock().expect("a plain text"));
    }

    /// Drops every connection in the middle of whatever it carries and refuses new ones.
    pub(crate) fn cut(&self) {
        self.is_open.store(false, Ordering::SeqCst);
        self.cut.send_modify(|n| *n += 1);
    }

    /// Accepts connections again.
    pub(crate) fn mend(&self) {
        self.is_open.store(true, Ordering::SeqCst);
    }

    /// Connections so far: more of them after a cut show that the browser came back.
    pub(crate) fn n_accepted(&self) -> usize {
        self.n_accepted.load(Ordering::SeqCst)
    }
}

impl Drop for TcpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn forward(mut browser: TcpStream, server: String, mut cuts: watch::Receiver<u64>) {
    cuts.borrow_and_update();
    let Ok(mut server) = TcpStream::connect(server).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut browser, &mut server) => {}
        _ = cuts.changed() => {}
    }
}
