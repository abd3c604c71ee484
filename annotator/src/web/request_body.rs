//! The bodies of requests: how much is read of them, and for how long. What a stranger sends costs 8
//! KiB and some seconds at most; more is read of whoever is signed in, of a few at a time.

use crate::web::{error::AppError, request_log::clipped};
use actix_http::{Request, Response, body::BoxBody};
use actix_web::{
    HttpMessage, ResponseError,
    dev::Payload,
    error::PayloadError,
    http::header::{self, HeaderMap},
    web::{Bytes, BytesMut},
};
use entity::ids::AccountId;
use futures_util::{StreamExt, stream};
use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

/// What is read of the body of somebody who is signed in before it needs a place among the large: an
/// answer of twenty thousand Cyrillic letters, each of which a form sends as six bytes.
pub const SMALL_BYTES: usize = 128 << 10;

/// What is read of anybody else's: a sign-in is not longer.
pub const STRANGERS_BYTES: usize = 8 << 10;

/// The largest form: an answer with room to spare.
pub const MAX_FORM_BYTES: usize = 8 << 20;

/// The largest body of any request: an upload of prompts, whose own bound is a little lower.
pub const MAX_UPLOAD_BYTES: usize = 33 << 20;

/// How long a body may take, and a little more for everything that comes…
const PATIENCE: Duration = Duration::from_secs(20);

/// …which is at least so much a second.
const MIN_BYTES_PER_SECOND: usize = 8 << 10;

/// Larger bodies at once: of everybody, and of one person.
const MAX_LARGE: usize = 8;
const MAX_LARGE_OF_ONE: usize = 2;

/// How long somebody waits for a place among them.
const PLACE_PATIENCE: Duration = Duration::from_secs(10);

/// What an address takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// The fields of a form.
    Form,
    /// A form with a file.
    Upload,
    /// What a script or a program sends; the handler looks at its type.
    Json,
}

impl BodyKind {
    fn max_bytes(self) -> usize {
        match self {
            Self::Form | Self::Json => MAX_FORM_BYTES,
            Self::Upload => MAX_UPLOAD_BYTES,
        }
    }

    fn media_type(self) -> Option<&'static str> {
        match self {
            Self::Form => Some("application/x-www-form-urlencoded"),
            Self::Upload => Some("multipart/form-data"),
            Self::Json => None,
        }
    }

    /// Refuses by its headers what would be read for nothing. Compressed bodies are never read:
    /// nobody sends us any, and a small one can inflate to a thousand times its size.
    pub fn check(self, headers: &HeaderMap) -> Result<(), AppError> {
        let is_plain = |encoding: &header::HeaderValue| encoding.as_bytes() == b"identity";
        if !headers.get_all(header::CONTENT_ENCODING).all(is_plain) {
            return Err(AppError::UnsupportedBody);
        }
        let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        let length = length.and_then(|length| length.parse::<u64>().ok());
        if length.is_some_and(|length| length > self.max_bytes() as u64) {
            return Err(AppError::TooLarge);
        }
        match (headers.get(header::CONTENT_TYPE), self.media_type()) {
            (Some(sent), Some(taken)) if !is_of_type(sent, taken) => Err(AppError::UnsupportedBody),
            _ => Ok(()),
        }
    }
}

/// Whether a client sends its body that asks first (`Expect: 100-continue`): what its head alone is
/// refused for is not asked for.
pub fn may_be_sent(request: Request) -> Result<Request, Response<BoxBody>> {
    let headers = request.headers();
    let is_upload = |sent| BodyKind::Upload.media_type().is_some_and(|kind| is_of_type(sent, kind));
    let kind = match headers.get(header::CONTENT_TYPE).is_some_and(is_upload) {
        true => BodyKind::Upload,
        false => BodyKind::Json,
    };
    let Err(error) = kind.check(headers) else { return Ok(request) };
    let (path, status) = (clipped(request.path()), error.status_code());
    tracing::info!(path, status = status.as_u16(), %error, "refused before its body was sent");
    Err(Response::build(status).force_close().finish().map_into_boxed_body())
}

fn is_of_type(sent: &header::HeaderValue, taken: &str) -> bool {
    let sent = sent.to_str().unwrap_or_default();
    let essence = sent.split(';').next().unwrap_or_default().trim();
    essence.eq_ignore_ascii_case(taken)
}

/// A body while it arrives.
pub struct ArrivingBody {
    payload: Payload,
    patience: Duration,
    started: Instant,
    n_bytes: usize,
    max_bytes: usize,
}

impl ArrivingBody {
    pub fn new(payload: Payload, kind: BodyKind) -> Self {
        let (started, max_bytes) = (Instant::now(), kind.max_bytes());
        Self { payload, patience: PATIENCE, started, n_bytes: 0, max_bytes }
    }

    /// The next piece; None at the end. Too slow or too much is an error of the payload, so that it
    /// can be told of a body that a handler reads, too.
    async fn next(&mut self) -> Option<Result<Bytes, PayloadError>> {
        let more = Duration::from_secs((self.n_bytes / MIN_BYTES_PER_SECOND) as u64);
        match timeout_at(self.started + self.patience + more, self.payload.next()).await {
            Err(_) => Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))),
            Ok(Some(Ok(piece))) => {
                self.n_bytes += piece.len();
                let fits = self.n_bytes <= self.max_bytes;
                Some(if fits { Ok(piece) } else { Err(PayloadError::Overflow) })
            }
            Ok(other) => other,
        }
    }

    /// The body's beginning, which is all of it if it has no more than `n_bytes`; and whether it is.
    pub async fn beginning(&mut self, n_bytes: usize) -> Result<(Bytes, bool), AppError> {
        let mut read = BytesMut::new();
        while read.len() <= n_bytes {
            match self.next().await {
                None => return Ok((read.freeze(), true)),
                Some(piece) => read.extend_from_slice(&piece?),
            }
        }
        Ok((read.freeze(), false))
    }

    /// All of it, once its beginning was read.
    pub async fn rest(mut self, beginning: Bytes) -> Result<Bytes, AppError> {
        let mut read = BytesMut::from(beginning);
        while let Some(piece) = self.next().await {
            read.extend_from_slice(&piece?);
        }
        Ok(read.freeze())
    }

    /// All of it, for a handler that reads it piece by piece.
    pub fn onward(self, beginning: Bytes) -> Payload {
        let rest = stream::unfold(Some(self), async |body| {
            let mut body = body?;
            let piece = body.next().await?;
            let next = piece.is_ok().then_some(body);
            Some((piece, next))
        });
        // Whoever takes a form apart asks once more after its end.
        let whole = stream::once(async { Ok(beginning) }).chain(rest).fuse();
        Payload::Stream { payload: Box::pin(whole) }
    }
}

impl From<PayloadError> for AppError {
    fn from(error: PayloadError) -> Self {
        match error {
            PayloadError::Overflow => Self::TooLarge,
            PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut => Self::TooSlow,
            _ => Self::bad_request("upload-cut-off"),
        }
    }
}

/// The places for large bodies.
pub struct LargeBodies {
    patience: Duration,
    places: Arc<Semaphore>,
    of_people: Mutex<HashMap<AccountId, Arc<Semaphore>>>,
}

/// A place, until it is dropped.
#[must_use]
pub struct LargeBodyPlace {
    _of_person: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl LargeBodies {
    #[expect(clippy::new_without_default, reason = "one per process, not a value")]
    pub fn new() -> Self {
        let places = Arc::new(Semaphore::new(MAX_LARGE));
        Self { patience: PLACE_PATIENCE, places, of_people: Mutex::default() }
    }

    /// A place for a body of this person. First their own, so that whoever sends a hundred waits for
    /// themself alone.
    pub async fn place(&self, account: AccountId) -> Result<LargeBodyPlace, AppError> {
        let of_person = self.of_person(account);
        let both = async {
            let of_person = of_person.acquire_owned().await;
            (of_person, self.places.clone().acquire_owned().await)
        };
        match timeout(self.patience, both).await {
            Ok((Ok(of_person), Ok(of_all))) => {
                Ok(LargeBodyPlace { _of_person: of_person, _of_all: of_all })
            }
            _ => Err(AppError::Busy),
        }
    }

    fn of_person(&self, account: AccountId) -> Arc<Semaphore> {
        let mut people = self.of_people.lock().unwrap_or_else(PoisonError::into_inner);
        people.retain(|_, places| Arc::strong_count(places) > 1);
        let places = people.entry(account);
        places.or_insert_with(|| Arc::new(Semaphore::new(MAX_LARGE_OF_ONE))).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::test::TestRequest;
    use futures_util::Stream;

    fn arriving(
        pieces: impl Stream<Item = Result<Bytes, PayloadError>> + 'static,
        kind: BodyKind,
    ) -> ArrivingBody {
        ArrivingBody::new(Payload::Stream { payload: Box::pin(pieces) }, kind)
    }

    fn pieces(n: usize, bytes: usize) -> impl Stream<Item = Result<Bytes, PayloadError>> {
        stream::iter((0..n).map(move |_| Ok(Bytes::from(vec![b'a'; bytes]))))
    }

    #[tokio::test]
    async fn a_body_that_trickles_is_given_up() {
        let trickle = stream::unfold((), async |()| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Some((Ok(Bytes::from_static(b"a")), ()))
        });
        let mut body = arriving(trickle, BodyKind::Form);
        body.patience = Duration::from_millis(200);
        let refused = body.beginning(SMALL_BYTES).await;
        assert!(matches!(refused, Err(AppError::TooSlow)), "{refused:?}");
        assert!(body.n_bytes > 0);
    }

    #[tokio::test]
    async fn a_slow_line_that_is_no_trickle_is_waited_for() {
        let slow = pieces(60, 16 << 10).then(async |piece| {
            tokio::time::sleep(Duration::from_millis(10)).await;
            piece
        });
        let mut body = arriving(slow, BodyKind::Form);
        body.patience = Duration::from_millis(200);
        let (beginning, is_all) = body.beginning(SMALL_BYTES).await.unwrap();
        assert!(!is_all && beginning.len() <= SMALL_BYTES + (16 << 10));
        assert_eq!(body.rest(beginning).await.unwrap().len(), 60 << 14);
    }

    #[tokio::test]
    async fn a_body_without_a_length_ends_at_its_bound() {
        let mut form = arriving(pieces(600, 16 << 10), BodyKind::Form);
        let (beginning, _) = form.beginning(SMALL_BYTES).await.unwrap();
        let refused = form.rest(beginning).await;
        assert!(matches!(refused, Err(AppError::TooLarge)), "{refused:?}");

        let mut upload = arriving(pieces(4_000, 16 << 10), BodyKind::Upload);
        let (beginning, _) = upload.beginning(SMALL_BYTES).await.unwrap();
        let read: Vec<_> = upload.onward(beginning).collect().await;
        let n_bytes: usize = read.iter().flatten().map(Bytes::len).sum();
        assert!(n_bytes <= MAX_UPLOAD_BYTES, "{n_bytes}");
        assert!(matches!(read.last(), Some(Err(PayloadError::Overflow))));
    }

    #[tokio::test]
    async fn a_body_that_is_asked_again_after_its_end_stays_ended() {
        let mut upload = arriving(pieces(10, 16 << 10), BodyKind::Upload);
        let (beginning, _) = upload.beginning(SMALL_BYTES).await.unwrap();
        let mut payload = upload.onward(beginning);
        while payload.next().await.is_some() {}
        assert!(payload.next().await.is_none() && payload.next().await.is_none());
    }

    #[test]
    fn what_an_address_does_not_take_is_refused_unread() {
        let check = |kind: BodyKind, name: &str, value: &str| {
            let request = TestRequest::post().insert_header((name, value)).to_http_request();
            kind.check(request.headers()).map_err(|error| error.to_string())
        };
        let form = "application/x-www-form-urlencoded; charset=utf-8";
        assert!(check(BodyKind::Form, "content-type", form).is_ok());
        assert!(check(BodyKind::Form, "content-encoding", "identity").is_ok());
        assert!(check(BodyKind::Form, "content-length", "9000000").is_err());
        assert!(check(BodyKind::Upload, "content-length", "9000000").is_ok());
        assert!(check(BodyKind::Upload, "content-type", form).is_err());
        assert!(check(BodyKind::Upload, "content-type", "multipart/mixed; boundary=b").is_err());
        for encoding in ["gzip", "br", "identity, gzip", "", "x"] {
            assert!(check(BodyKind::Json, "content-encoding", encoding).is_err(), "{encoding}");
        }
    }

    #[tokio::test]
    async fn one_person_does_not_take_every_place() {
        let (mut bodies, anna) = (LargeBodies::new(), AccountId::new());
        bodies.patience = Duration::from_millis(50);
        let _first = bodies.place(anna).await.unwrap();
        let second = bodies.place(anna).await.unwrap();
        assert!(matches!(bodies.place(anna).await, Err(AppError::Busy)));
        let _other = bodies.place(AccountId::new()).await.unwrap();
        drop(second);
        let _third = bodies.place(anna).await.unwrap();
    }
}
