//! The hub's HTTP, as the Python library speaks it: its routes, variables, headers and refusals.

use super::files::{FileListing, RemoteFile, sha256};
use crate::errors::WithMessage;
use anyhow::{Error, Result, bail, ensure};
use entity::{message, message::KeyedMessage};
use std::{
    env, fs,
    io::{self, Read},
    path::PathBuf,
    time::Duration,
};
use ureq::{
    Agent, Body,
    http::{HeaderMap, Response, StatusCode},
    tls::{RootCerts, TlsConfig},
};

/// A connection that delivers nothing for so long is closed and opened again.
const SILENCE: Duration = Duration::from_secs(30);

const MAX_REDIRECTS: usize = 8;

/// The hub or a mirror of it.
pub(super) struct HubClient {
    agent: Agent,
    /// Without a slash at its end.
    endpoint: String,
    token: Option<String>,
    /// Where huggingface_hub keeps what it fetched.
    cache: Option<PathBuf>,
}

/// Why a request failed.
pub(super) enum HubProblem {
    /// May be gone at the next try.
    Passing(KeyedMessage),
    /// The part that was fetched is longer than the file.
    BeyondEnd,
    Final(Error),
}

/// A file's bytes from `start` on.
pub(super) struct OpenedFile {
    pub start: u64,
    pub reader: Box<dyn Read>,
    /// What the hub says beside the bytes.
    pub size: Option<u64>,
    pub sha256: Option<String>,
}

/// A variable that is set to something.
fn variable(name: &str) -> Option<String> {
    env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

impl HubClient {
    /// As huggingface_hub reads its variables.
    pub(super) fn from_environment() -> Result<Self> {
        let is_set = |name: &str| {
            variable(name).is_some_and(|v| ["1", "ON", "YES", "TRUE"].contains(&&*v.to_uppercase()))
        };
        ensure!(
            !is_set("HF_HUB_OFFLINE"),
            message!(
                "hub-offline",
                "HF_HUB_OFFLINE is set: unset it to fetch from the hub, or use a folder that is there"
            )
        );
        let endpoint = variable("HF_ENDPOINT").unwrap_or("https://huggingface.co".into());
        ensure!(
            endpoint.starts_with("https://") || endpoint.starts_with("http://"),
            message!(
                "hub-bad-endpoint",
                "HF_ENDPOINT is {endpoint}, not an address that begins with https://",
                endpoint = format!("{endpoint:?}")
            )
        );
        let cache_folder = variable("XDG_CACHE_HOME").map(PathBuf::from);
        let home = variable("HF_HOME").map(PathBuf::from).or_else(|| {
            let cache = cache_folder.or(Some(env::home_dir()?.join(".cache")))?;
            Some(cache.join("huggingface"))
        });
        let in_home = |name: &str| home.as_ref().map(|home| home.join(name));
        let token_file = variable("HF_TOKEN_PATH").map(PathBuf::from).or(in_home("token"));
        let token =
            variable("HF_TOKEN").or_else(|| variable("HUGGING_FACE_HUB_TOKEN")).or_else(|| {
                let token = fs::read_to_string(token_file?).ok()?.trim().to_owned();
                (!token.is_empty()).then_some(token)
            });
        // The system's certificates, so that a company's own counts.
        let tls = TlsConfig::builder().root_certs(RootCerts::PlatformVerifier).build();
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_connect(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
            .user_agent(concat!("attune/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls)
            .build()
            .new_agent();
        Ok(Self {
            agent,
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token,
            cache: variable("HF_HUB_CACHE").map(PathBuf::from).or(in_home("hub")),
        })
    }

    /// What is in the repository.
    pub(super) fn listing(&self, repository: &str, revision: &str) -> Result<FileListing> {
        let revision = percent_encoded(revision);
        let url =
            format!("{}/api/models/{repository}/revision/{revision}?blobs=true", self.endpoint);
        let mut failed = 0;
        loop {
            let problem = match self.get(&url, 0, repository) {
                Ok((mut response, _)) => match response.body_mut().read_to_string() {
                    Ok(text) => {
                        return serde_json::from_str(&text).with_message(|| {
                            message!(
                                "hub-no-hub",
                                "{endpoint} does not answer as the Hugging Face hub does",
                                endpoint = self.endpoint.as_str()
                            )
                        });
                    }
                    Err(error) => HubProblem::Passing(broken(&error)),
                },
                Err(problem) => problem,
            };
            failed += 1;
            match problem {
                HubProblem::Passing(_) if failed < 3 => std::thread::sleep(Duration::from_secs(1)),
                HubProblem::Passing(why) => return Err(self.unreachable(&why).into()),
                HubProblem::BeyondEnd => bail!(message!(
                    "hub-no-list",
                    "{endpoint} refused to list {repository}",
                    endpoint = self.endpoint.as_str(),
                    repository = repository
                )),
                HubProblem::Final(error) => return Err(error),
            }
        }
    }

    /// A file's bytes, from `start` on if the server can, else from the beginning.
    pub(super) fn open(
        &self,
        repository: &str,
        commit: &str,
        name: &str,
        start: u64,
    ) -> Result<OpenedFile, HubProblem> {
        let commit = percent_encoded(commit);
        let url = format!("{}/{repository}/resolve/{commit}/{name}", self.endpoint);
        let (response, headers) = self.get(&url, start, repository)?;
        let start = match response.status() {
            StatusCode::PARTIAL_CONTENT => range_start(response.headers()).unwrap_or(start),
            _ => 0,
        };
        let body = response.into_body();
        let size = headers.size.or(body.content_length().map(|rest| start.saturating_add(rest)));
        let reader = Box::new(body.into_reader());
        Ok(OpenedFile { start, reader, size, sha256: headers.sha256 })
    }

    /// Where huggingface_hub would have put a large file.
    pub(super) fn cached(&self, repository: &str, file: &RemoteFile) -> Option<PathBuf> {
        let folder = format!("models--{}", repository.replace('/', "--"));
        let path = self.cache.as_ref()?.join(folder).join("blobs").join(file.sha256.as_ref()?);
        let size = fs::metadata(&path).ok()?.len();
        (file.size.is_none() || file.size == Some(size)).then_some(path)
    }

    /// The address for a person.
    pub(super) fn unreachable(&self, why: &KeyedMessage) -> KeyedMessage {
        let endpoint = &self.endpoint;
        if why.text.contains("certificate") {
            return message!(
                "hub-not-trusted",
                "{endpoint} cannot be trusted: {why}; install the system's certificates (apt install ca-certificates), or name your company's in SSL_CERT_FILE",
                endpoint = endpoint,
                why = why
            );
        }
        message!(
            "hub-not-reached",
            "cannot reach {endpoint}: {why}; check the connection and start again, or set HF_ENDPOINT to a mirror or HTTPS_PROXY to a proxy",
            endpoint = endpoint,
            why = why
        )
    }

    /// Follows redirects by hand: what the hub says of a large file is on the way, and the token is
    /// for the hub alone.
    fn get(
        &self,
        url: &str,
        start: u64,
        repository: &str,
    ) -> Result<(Response<Body>, HubHeaders), HubProblem> {
        let (mut url, mut headers) = (url.to_owned(), HubHeaders::default());
        for _ in 0..MAX_REDIRECTS {
            let mut request = self.agent.get(&url);
            let is_of_hub = origin(&url) == origin(&self.endpoint);
            if let Some(token) = self.token.as_ref().filter(|_| is_of_hub) {
                request = request.header("Authorization", format!("Bearer {token}"));
            }
            if start > 0 {
                request = request.header("Range", format!("bytes={start}-"));
            }
            let response = request.call().map_err(|error| HubProblem::Passing(broken(&error)))?;
            if is_of_hub {
                headers.read(response.headers());
            }
            let status = response.status();
            if status.is_success() {
                return Ok((response, headers));
            }
            if !status.is_redirection() {
                return Err(self.refusal(&response, repository, is_of_hub));
            }
            let location = text(response.headers(), "location").unwrap_or_default();
            url = if location.starts_with('/') {
                format!("{}{location}", origin(&url))
            } else {
                location.to_owned()
            };
        }
        let endpoint = self.endpoint.as_str();
        let circle =
            message!("hub-circle", "{endpoint} redirects in a circle", endpoint = endpoint);
        Err(HubProblem::Final(circle.into()))
    }

    /// What a status means for the next try.
    fn refusal(&self, response: &Response<Body>, repository: &str, is_of_hub: bool) -> HubProblem {
        let status = response.status();
        match status.as_u16() {
            416 => HubProblem::BeyondEnd,
            408 | 429 | 500.. => HubProblem::Passing(message!(
                "hub-answered",
                "the server answered {status}",
                status = status.to_string()
            )),
            // Addresses of large files hold for some minutes; a new one is asked for.
            401 | 403 if !is_of_hub => HubProblem::Passing(message!(
                "hub-address-ran-out",
                "the download's address ran out ({status})",
                status = status.to_string()
            )),
            _ => {
                let code = text(response.headers(), "x-error-code").unwrap_or_default();
                HubProblem::Final(self.no_access(status, code, repository).into())
            }
        }
    }

    /// Why the hub does not give a repository, and what to do.
    fn no_access(&self, status: StatusCode, code: &str, repository: &str) -> KeyedMessage {
        let (endpoint, has_token) = (self.endpoint.as_str(), self.token.is_some());
        match (status.as_u16(), code) {
            (_, "GatedRepo") | (403, _) if has_token => message!(
                "hub-gated-for-you",
                "{repository} is gated, and the account of your token may not read it: accept its terms on {endpoint}/{repository} and start again",
                repository = repository,
                endpoint = endpoint
            ),
            (_, "GatedRepo") | (403, _) => message!(
                "hub-gated",
                "{repository} is gated: accept its terms on {endpoint}/{repository} and set HF_TOKEN to an access token of your account",
                repository = repository,
                endpoint = endpoint
            ),
            (_, "RevisionNotFound") => message!(
                "hub-no-revision",
                "{repository} has no such --revision; its branches and tags are on {endpoint}/{repository}/tree/main",
                repository = repository,
                endpoint = endpoint
            ),
            (401, _) if has_token && code != "RepoNotFound" => message!(
                "hub-bad-token",
                "{endpoint} does not know the access token in HF_TOKEN, or in huggingface's token file: make a new one, or unset it",
                endpoint = endpoint
            ),
            (401 | 404, _) if has_token => message!(
                "hub-no-repository-for-you",
                "there is no repository {repository} on {endpoint} that your access token may read: check how it is spelt",
                repository = repository,
                endpoint = endpoint
            ),
            (401 | 404, _) => message!(
                "hub-no-repository",
                "there is no repository {repository} on {endpoint}, or it is private and HF_TOKEN is not set: check how it is spelt",
                repository = repository,
                endpoint = endpoint
            ),
            _ => message!(
                "hub-refused",
                "{endpoint} refused {repository} with {status}",
                endpoint = endpoint,
                repository = repository,
                status = status.to_string()
            ),
        }
    }
}

/// Why a request came to nothing, in the library's words where the system has none.
fn broken(error: &ureq::Error) -> KeyedMessage {
    let refused = || KeyedMessage::keyed("hub-no-connection", error.to_string());
    match error {
        ureq::Error::Timeout(_) => KeyedMessage::keyed("hub-silent", error.to_string()),
        ureq::Error::HostNotFound => KeyedMessage::keyed("hub-no-host", error.to_string()),
        ureq::Error::ConnectionFailed => refused(),
        ureq::Error::Io(io) if io.kind() == io::ErrorKind::ConnectionRefused => refused(),
        _ => KeyedMessage::technical(error.to_string()),
    }
}

/// What the hub's headers say of a file.
#[derive(Default)]
struct HubHeaders {
    size: Option<u64>,
    sha256: Option<String>,
}

impl HubHeaders {
    fn read(&mut self, headers: &HeaderMap) {
        if let Some(size) = text(headers, "x-linked-size").and_then(|size| size.parse().ok()) {
            self.size = Some(size);
        }
        // Of a large file the tag is its SHA-256, of a small one a Git hash.
        let tag = text(headers, "x-linked-etag").unwrap_or_default().trim_matches('"');
        self.sha256 = sha256(tag).or(self.sha256.take());
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The first number of `Content-Range: bytes 5-9/10`.
fn range_start(headers: &HeaderMap) -> Option<u64> {
    let range = text(headers, "content-range")?.strip_prefix("bytes ")?;
    range.split('-').next()?.parse().ok()
}

/// Scheme, host and port.
fn origin(url: &str) -> &str {
    let host = url.find("://").map_or(0, |at| at + 3);
    url[host..].find('/').map_or(url, |end| &url[..host + end])
}

fn percent_encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let encode =
        |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
