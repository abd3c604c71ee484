//! Strangers who mean harm: connections that flood sign-in, send huge, endless, compressed and slow
//! bodies, and read nothing of what they are answered. The service stays small, answers everybody
//! else, and lets in whoever signed in at their browser before.
//!
//! `ATTUNE_FLOOD=500` (`make test-long`) sends as many for half a minute, and then `/health` must
//! also be quick.

use crate::support::{
    app::{Server, Worker},
    database::on_both_databases,
    web::Visitor,
};
use flate2::{Compression, write::GzEncoder};
use std::{
    io::Write,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Builder,
    task::spawn_blocking,
    time::sleep,
};

const MAX_RESIDENT_BYTES: u64 = 300 << 20;

/// What `/health` may take under the whole flood, for 99 of 100.
const MAX_P99: Duration = Duration::from_millis(100);

const FORM: &str = "Content-Type: application/x-www-form-urlencoded\r\n";

/// One way to do harm; each connection has one, and connects again whenever it is thrown out.
#[derive(Clone, Copy, Debug)]
enum Harm {
    SignIn,
    LongLogins,
    HugeBody,
    EndlessBody,
    Compressed,
    SlowHead,
    SlowBody,
    ReadsNothing,
    OnlyLooks,
}

const HARMS: [Harm; 9] = [
    Harm::SignIn,
    Harm::LongLogins,
    Harm::HugeBody,
    Harm::EndlessBody,
    Harm::Compressed,
    Harm::SlowHead,
    Harm::SlowBody,
    Harm::ReadsNothing,
    Harm::OnlyLooks,
];

struct Flood {
    address: SocketAddr,
    bomb: Vec<u8>,
    n_done: [AtomicU64; HARMS.len()],
}

/// What a page of sign-in gives: the cookie, and the token for the form.
async fn token(stream: &mut TcpStream) -> Option<(String, String)> {
    stream.write_all(b"GET /sign-in HTTP/1.1\r\nHost: a\r\n\r\n").await.ok()?;
    let answer = read_answer(stream).await?;
    let cookie = answer.split("attune_form=").nth(1)?.split(';').next()?;
    let token = answer.split("name=\"csrf\" value=\"").nth(1)?.split('"').next()?;
    Some((format!("Cookie: attune_form={cookie}\r\n"), token.to_owned()))
}

/// One answer with a length; None when the connection ends.
async fn read_answer(stream: &mut TcpStream) -> Option<String> {
    let (mut read, mut piece) = (Vec::new(), [0; 16 << 10]);
    loop {
        let n_read = stream.read(&mut piece).await.ok().filter(|n| *n > 0)?;
        read.extend_from_slice(&piece[..n_read]);
        let text = String::from_utf8_lossy(&read);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.to_lowercase();
            let length = length
                .split("content-length: ")
                .nth(1)
                .map_or("0", |rest| rest.split("\r\n").next().unwrap_or("0"));
            if body.len() >= length.parse().unwrap_or(0) {
                return Some(text.into_owned());
            }
        }
    }
}

impl Flood {
    async fn flood(self: Arc<Self>, number: usize) {
        let kind = number % HARMS.len();
        loop {
            if let Ok(stream) = TcpStream::connect(self.address).await {
                self.harm(HARMS[kind], stream, number).await;
            }
            self.n_done[kind].fetch_add(1, Relaxed);
            sleep(Duration::from_millis(5)).await;
        }
    }

    /// Goes on until the connection ends.
    async fn harm(&self, harm: Harm, mut stream: TcpStream, number: usize) -> Option<()> {
        let post = format!("POST /sign-in HTTP/1.1\r\nHost: a\r\n{FORM}");
        match harm {
            Harm::SignIn | Harm::LongLogins => guess(harm, &mut stream, &post, number).await?,
            Harm::HugeBody => {
                let head = format!("{post}Content-Length: {}\r\n\r\n", 31 << 20);
                stream.write_all(head.as_bytes()).await.ok()?;
                for _ in 0..31 << 4 {
                    stream.write_all(&[b'a'; 64 << 10]).await.ok()?;
                }
            }
            Harm::EndlessBody => {
                let head = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                let chunk = [b"10000\r\n".as_slice(), &[b'a'; 64 << 10], b"\r\n"].concat();
                loop {
                    stream.write_all(&chunk).await.ok()?;
                }
            }
            Harm::Compressed => {
                let length = self.bomb.len();
                let head =
                    format!("{post}Content-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
                stream.write_all(head.as_bytes()).await.ok()?;
                stream.write_all(&self.bomb).await.ok()?;
                read_answer(&mut stream).await?;
            }
            Harm::SlowHead => {
                // The first request is whole: later ones must be watched, too.
                token(&mut stream).await?;
                trickle(&mut stream, b"GET /sign-in HTTP/1.1\r\nX-Long: ").await?;
            }
            Harm::SlowBody => {
                let head = format!("{post}Content-Length: 60000\r\n\r\ncsrf=");
                trickle(&mut stream, head.as_bytes()).await?;
            }
            Harm::ReadsNothing => {
                let style = annotator::web::assets::url("app.css");
                let request = format!("GET {style} HTTP/1.1\r\nHost: a\r\n\r\n").repeat(400);
                stream.write_all(request.as_bytes()).await.ok()?;
                sleep(Duration::from_secs(3_600)).await;
            }
            Harm::OnlyLooks => {
                for _ in 0..100 {
                    token(&mut stream).await?;
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
        Some(())
    }
}

/// A hundred passwords, one after the other.
async fn guess(harm: Harm, stream: &mut TcpStream, post: &str, number: usize) -> Option<()> {
    let (cookie, token) = token(stream).await?;
    let login = match harm {
        Harm::SignIn if number.is_multiple_of(2) => "admin".to_owned(),
        Harm::SignIn => format!("somebody-{number}"),
        _ => "a".repeat(60_000),
    };
    let body = format!("csrf={token}&login={login}&password=a+wrong+password");
    for _ in 0..100 {
        let head = format!("{post}{cookie}Content-Length: {}\r\n\r\n", body.len());
        stream.write_all((head + &body).as_bytes()).await.ok()?;
        read_answer(stream).await?;
    }
    Some(())
}

/// A beginning, and then a byte a second.
async fn trickle(stream: &mut TcpStream, beginning: &[u8]) -> Option<()> {
    stream.write_all(beginning).await.ok()?;
    loop {
        stream.write_all(b"a").await.ok()?;
        sleep(Duration::from_secs(1)).await;
    }
}

/// The most that the process has held in memory since it began.
pub(super) fn peak_resident_bytes(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("its peak");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("kilobytes") << 10
}

/// The same by a thread of its own: a monitor does not wait for the flood's own tasks to be done.
fn monitor(url: String, until: Instant) -> Vec<Duration> {
    let alone = Builder::new_current_thread().enable_all().build().expect("a runtime");
    alone.block_on(ask_health(url, until))
}

/// How long `/health` takes, asked all the while.
async fn ask_health(url: String, until: Instant) -> Vec<Duration> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0) // a new connection each time, as a monitor's
        .timeout(Duration::from_secs(30))
        .build()
        .expect("a client");
    let mut times = Vec::new();
    while Instant::now() < until {
        let asked = Instant::now();
        let answer = client.get(format!("{url}/health")).send().await.expect("/health answers");
        assert!(answer.status().is_success(), "/health: {}", answer.status());
        times.push(asked.elapsed());
        sleep(Duration::from_millis(20)).await;
    }
    times
}

on_both_databases! {
    async fn a_flood_of_strangers_costs_little_and_locks_nobody_out(database: TestDb) {
        let whole = std::env::var("ATTUNE_FLOOD").ok().map(|n| n.parse::<usize>().expect("a number"));
        let (n_connections, lasts) = (whole.unwrap_or(45), if whole.is_some() { 30 } else { 4 });
        let server = tokio::task::block_in_place(|| Server::start(&database, Worker::None));
        let password = server.first_password.clone().expect("a password");
        let admin = Visitor::new(&server.url);
        admin.sign_in("admin", &password).await;
        admin.submit(admin.get("/").await.form("/sign-out")).await;

        let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
        bomb.write_all(&vec![b'a'; 32 << 20]).unwrap();
        let address = server.url.strip_prefix("http://").unwrap().parse().unwrap();
        let bomb = bomb.finish().unwrap();
        let flood = Arc::new(Flood { address, bomb, n_done: Default::default() });
        let strangers: Vec<_> =
            (0..n_connections).map(|number| tokio::spawn(flood.clone().flood(number))).collect();
        let until = Instant::now() + Duration::from_secs(lasts);
        let url = server.url.clone();
        let health = spawn_blocking(move || monitor(url, until));
        sleep(Duration::from_secs(lasts / 2)).await;
        admin.sign_in("admin", &password).await;
        let mut times = health.await.expect("/health answers all the while");
        let peak = peak_resident_bytes(server.process());
        for stranger in strangers {
            stranger.abort();
        }
        times.sort();
        let p99 = times[times.len() * 99 / 100];
        let done: Vec<_> = HARMS.iter().zip(&flood.n_done).map(|(harm, n)| format!("{harm:?} {}", n.load(Relaxed))).collect();
        println!(
            "{n_connections} connections for {lasts} s: {} MB at the most; /health {} times, p99 {p99:?}, at most {:?}; ended: {}",
            peak >> 20, times.len(), times[times.len() - 1], done.join(", "),
        );
        assert!(peak < MAX_RESIDENT_BYTES, "{} MB", peak >> 20);
        assert!(whole.is_none() || p99 < MAX_P99, "/health takes {p99:?}");
        let longest = server.log().lines().map(str::len).max().unwrap_or_default();
        assert!(longest < 2_000, "a line of {longest} bytes in the log");
    }
}
