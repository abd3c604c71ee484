//! A connection that is watched: who says a request's head letter by letter, or reads an answer so,
//! would hold memory and a place for ever. (The server itself watches the first head only; bodies
//! are watched in [`crate::web::request_body`].)

use actix_http::Extensions;
use actix_web::{
    Error, HttpResponse,
    body::{BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{Method, header},
    middleware::Next,
    rt::net::TcpStream,
};
use socket2::SockRef;
use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// How slow the other side may be.
#[derive(Clone, Copy)]
struct StreamPatience {
    /// How long the head of a request may take.
    head: Duration,
    /// How long an answer may be stuck: in this time at least [`MIN_WRITTEN`] bytes of it go out.
    write: Duration,
}

const PATIENCE: StreamPatience =
    StreamPatience { head: Duration::from_secs(10), write: Duration::from_secs(60) };

const MIN_WRITTEN: usize = 16 << 10;

/// What the system keeps of an answer that nobody reads. It also makes progress visible: without it
/// a socket takes megabytes and then nothing for minutes.
const MAX_UNSENT: u32 = 128 << 10;

/// What a connection reads before the others have their turn. The server would take as much as comes,
/// a hundred kilobytes and more, before it looks at the first of it.
const READ_IN_A_ROW: usize = 16 << 10;

/// How many requests of a connection have begun to be answered, and how many still are.
#[derive(Default)]
struct ConnectionCount {
    n_begun: Cell<u64>,
    n_answering: Cell<u64>,
}

struct Answering(Rc<ConnectionCount>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.n_answering.set(self.0.n_answering.get() - 1);
    }
}

/// Middleware, the outermost: tells the connection that a request has come whole.
pub async fn count_answers(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, Error> {
    let _answering = request.conn_data::<Rc<ConnectionCount>>().map(|count| {
        count.n_begun.set(count.n_begun.get() + 1);
        count.n_answering.set(count.n_answering.get() + 1);
        Answering(count.clone())
    });
    next.call(request).await
}

/// Middleware: refuses what would make a tunnel of the connection. Its body has no end, and would be
/// waited for until nobody has any patience left.
pub async fn refuse_tunnels(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let is_upgrade = request.headers().contains_key(header::UPGRADE);
    if request.method() == Method::CONNECT || (is_upgrade && !request.method().is_safe()) {
        let refused = HttpResponse::MethodNotAllowed().force_close().finish();
        return Ok(request.into_response(refused));
    }
    Ok(next.call(request).await?.map_into_boxed_body())
}

/// A deadline that wakes whoever waits.
#[derive(Default)]
struct Deadline(Option<Pin<Box<Sleep>>>);

impl Deadline {
    fn set(&mut self, at: Instant) {
        match &mut self.0 {
            Some(sleep) => sleep.as_mut().reset(at),
            None => self.0 = Some(Box::pin(sleep_until(at))),
        }
    }

    fn clear(&mut self) {
        self.0 = None;
    }

    fn is_set(&self) -> bool {
        self.0.is_some()
    }

    fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        self.0.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready())
    }
}

/// A stream that ends when the other side takes too long.
pub struct WatchedStream<T = TcpStream> {
    stream: T,
    patience: StreamPatience,
    count: Rc<ConnectionCount>,
    n_begun: u64,
    head: Deadline,
    stuck: Deadline,
    n_written: usize,
    n_read_in_a_row: usize,
}

impl WatchedStream {
    pub fn accept(stream: TcpStream) -> Self {
        // Where the system cannot, answers take a little more of its memory.
        let _ = SockRef::from(&stream).set_tcp_notsent_lowat(MAX_UNSENT);
        Self::new(stream, PATIENCE)
    }
}

impl<T> WatchedStream<T> {
    fn new(stream: T, patience: StreamPatience) -> Self {
        let (head, stuck) = (Deadline::default(), Deadline::default());
        Self {
            stream,
            patience,
            count: Rc::default(),
            n_begun: 0,
            head,
            stuck,
            n_written: 0,
            n_read_in_a_row: 0,
        }
    }

    /// Lets [`count_answers`] find the connection of a request.
    pub fn introduce(&self, to_requests: &mut Extensions) {
        to_requests.insert(self.count.clone());
    }
}

fn too_slow() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "the other side takes too long")
}

impl<T: AsyncRead + Unpin> AsyncRead for WatchedStream<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.n_read_in_a_row >= READ_IN_A_ROW {
            this.n_read_in_a_row = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let n_before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        let n_begun = this.count.n_begun.get();
        if this.count.n_answering.get() > 0 || n_begun != this.n_begun {
            this.n_begun = n_begun;
            this.head.clear();
        }
        let n_read = buffer.filled().len() - n_before;
        this.n_read_in_a_row = if read.is_pending() { 0 } else { this.n_read_in_a_row + n_read };
        let has_read = n_read > 0;
        if has_read && this.count.n_answering.get() == 0 && !this.head.is_set() {
            this.head.set(Instant::now() + this.patience.head);
        }
        if this.head.has_passed(cx) {
            return Poll::Ready(Err(too_slow()));
        }
        read
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for WatchedStream<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if let Poll::Ready(written) = Pin::new(&mut this.stream).poll_write(cx, bytes) {
            let n_written = written?;
            this.n_written += n_written;
            return Poll::Ready(Ok(n_written));
        }
        if !this.stuck.is_set() {
            this.n_written = 0;
            this.stuck.set(Instant::now() + this.patience.write);
        }
        while this.stuck.has_passed(cx) {
            if this.n_written < MIN_WRITTEN {
                return Poll::Ready(Err(too_slow()));
            }
            this.n_written = 0;
            this.stuck.set(Instant::now() + this.patience.write);
        }
        Poll::Pending
    }

    /// The server flushes when everything that there is to say has been taken.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.stuck.clear();
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
        time::{sleep, timeout},
    };

    const SHORT: StreamPatience =
        StreamPatience { head: Duration::from_millis(200), write: Duration::from_millis(200) };

    /// What waits for ever is given up after this.
    const LONG: Duration = Duration::from_secs(60);

    fn watched() -> (DuplexStream, WatchedStream<DuplexStream>) {
        let (other, stream) = duplex(1 << 10);
        (other, WatchedStream::new(stream, SHORT))
    }

    #[tokio::test]
    async fn whoever_sends_without_end_lets_others_have_their_turn() {
        let (mut sender, stream) = duplex(READ_IN_A_ROW * 4);
        let mut watched = WatchedStream::new(stream, SHORT);
        let sent = vec![b'a'; READ_IN_A_ROW * 4];
        sender.write_all(&sent).await.unwrap();
        drop(sender);
        let mut piece = vec![0; READ_IN_A_ROW];
        let mut read = vec![0; 0];
        let (mut n_pauses, mut is_over) = (0, false);
        while !is_over {
            let mut buffer = ReadBuf::new(&mut piece);
            let polled =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut watched).poll_read(cx, &mut buffer)));
            match polled.await {
                Poll::Pending => n_pauses += 1,
                Poll::Ready(done) => {
                    done.unwrap();
                    is_over = buffer.filled().is_empty();
                    read.extend_from_slice(buffer.filled());
                }
            }
        }
        assert_eq!((read, n_pauses), (sent, 4));
    }

    #[tokio::test]
    async fn a_head_that_comes_letter_by_letter_ends_the_connection() {
        let (mut sender, mut watched) = watched();
        let idle = timeout(3 * SHORT.head, watched.read_u8()).await;
        assert!(idle.is_err(), "nothing came yet, and the connection lives");
        tokio::spawn(async move {
            while sender.write_all(b"G").await.is_ok() {
                sleep(Duration::from_millis(20)).await;
            }
        });
        let mut read = Vec::new();
        let ended = timeout(LONG, watched.read_to_end(&mut read)).await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);
        assert!(!read.is_empty());
    }

    #[tokio::test]
    async fn a_request_that_has_come_may_take_its_time() {
        let (mut sender, mut watched) = watched();
        let count = watched.count.clone();
        sender.write_all(b"GET").await.unwrap();
        watched.read_exact(&mut [0; 3]).await.unwrap();
        count.n_begun.set(1);
        count.n_answering.set(1);
        let waited = timeout(3 * SHORT.head, watched.read_u8()).await;
        assert!(waited.is_err(), "nothing came, and the connection lives");
        drop(Answering(count));
        sender.write_all(b"G").await.unwrap();
        assert_eq!(watched.read_u8().await.unwrap(), b'G');
        let ended = timeout(LONG, watched.read_u8()).await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut, "the next head is watched as the first");
    }

    #[tokio::test]
    async fn an_answer_that_nobody_reads_ends_the_connection_and_a_slow_reader_does_not() {
        let answer = vec![7; 1 << 20];
        let (_unread, mut stuck) = watched();
        let ended = timeout(LONG, stuck.write_all(&answer)).await.unwrap().unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::TimedOut);

        let (mut slow, mut watched) = watched();
        let reading = tokio::spawn(async move {
            let mut read = vec![0; 32 << 10];
            for _ in 0..32 {
                slow.read_exact(&mut read).await.unwrap();
                sleep(SHORT.write / 8).await;
            }
        });
        watched.write_all(&answer).await.unwrap();
        reading.await.unwrap();
    }
}
