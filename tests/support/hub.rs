//! A Hugging Face hub of one's own: the routes that a download uses, and bad days on purpose.

use super::tiny_base;
use entity::hash::sha256_hex as sha256;
use std::{
    collections::HashMap,
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What a repository has and what it demands.
#[derive(Default)]
pub(crate) struct Repository {
    pub(crate) files: HashMap<String, Vec<u8>>,
    /// Readable with this token alone.
    pub(crate) gate: Option<String>,
}

impl Repository {
    /// The tiny base with what a repository of the hub has besides.
    pub(crate) fn tiny() -> Self {
        let mut repository = Self::default();
        for entry in fs::read_dir(tiny_base()).expect("the tiny base").flatten() {
            let name = entry.file_name().into_string().expect("a plain name");
            repository.files.insert(name, fs::read(entry.path()).expect("a file"));
        }
        for (name, text) in [
            ("README.md", "# Tiny base"),
            ("LICENSE", "Do what you like."),
            ("pytorch_model.bin", "a pickle"),
            ("logo.png", "a picture"),
            ("onnx/model.onnx", "another format"),
            (".gitattributes", "*.safetensors lfs"),
        ] {
            repository.files.insert(name.into(), text.as_bytes().to_vec());
        }
        repository
    }
}

/// Lets a command know this hub alone, and `home` as the folder of the hub's own library: what the
/// person who runs the tests has set must not reach it.
pub(crate) fn client<'a>(command: &'a mut Command, endpoint: &str, home: &Path) -> &'a mut Command {
    for variable in ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_HUB_CACHE"] {
        command.env_remove(variable);
    }
    for proxy in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        command.env_remove(proxy).env_remove(proxy.to_lowercase());
    }
    command.env("HF_HOME", home).env("HF_ENDPOINT", endpoint)
}

/// A request, as far as the tests ask.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) range: Option<String>,
    pub(crate) authorization: Option<String>,
}

#[derive(Default)]
struct State {
    repositories: HashMap<String, Repository>,
    asked: Vec<Asked>,
    /// How many bytes of which file go out before the line is cut, one connection after another.
    cuts: HashMap<String, Vec<usize>>,
    /// Where the next download of a file falls silent, without an end.
    silences: HashMap<String, usize>,
    /// Sizes that the listing claims.
    claims: HashMap<String, u64>,
    /// Files that arrive with a byte changed.
    altered: Vec<String>,
}

/// Serves until the tests end. Large files (safetensors) come by a redirect to another host name.
pub(crate) struct Hub {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Hub {
    pub(crate) fn start(name: &str, repository: Repository) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(Mutex::new(State::default()));
        state.lock().unwrap().repositories.insert(name.to_owned(), repository);
        let shared = state.clone();
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let state = shared.clone();
                // A client that goes away in the middle is what some tests are about.
                thread::spawn(move || answer(connection, &state, address.port()).is_ok());
            }
        });
        Self { address, state }
    }

    /// One more repository, or another in the place of one.
    pub(crate) fn add(&self, name: &str, repository: Repository) {
        self.state.lock().unwrap().repositories.insert(name.to_owned(), repository);
    }

    /// For HF_ENDPOINT.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.lock().unwrap().asked.clone()
    }

    /// The next downloads of `file` end after so many bytes each.
    pub(crate) fn cut(&self, file: &str, after: &[usize]) {
        self.state.lock().unwrap().cuts.insert(file.to_owned(), after.to_vec());
    }

    /// The next download of `file` falls silent after so many bytes.
    pub(crate) fn fall_silent(&self, file: &str, after: usize) {
        self.state.lock().unwrap().silences.insert(file.to_owned(), after);
    }

    /// The listing says that `file` has `size` bytes.
    pub(crate) fn claim(&self, file: &str, size: u64) {
        self.state.lock().unwrap().claims.insert(file.to_owned(), size);
    }

    pub(crate) fn alter(&self, file: &str) {
        self.state.lock().unwrap().altered.push(file.to_owned());
    }
}

fn is_large(file: &str) -> bool {
    file.ends_with(".safetensors")
}

fn answer(connection: TcpStream, state: &Mutex<State>, port: u16) -> std::io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim().split_once(": ") else { break };
        headers.insert(name.to_lowercase(), value.to_owned());
    }
    let asked = Asked {
        path: path.clone(),
        range: headers.get("range").cloned(),
        authorization: headers.get("authorization").cloned(),
    };
    let mut state = state.lock().unwrap();
    state.asked.push(asked.clone());
    let reply = route(&mut state, &asked, port);
    drop(state);
    let mut connection = connection;
    let head: String = reply.headers.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
    let length = reply.body.len();
    write!(connection, "HTTP/1.1 {}\r\n{head}content-length: {length}\r\n", reply.status)?;
    write!(connection, "connection: close\r\n\r\n")?;
    connection.write_all(&reply.body[..reply.cut.unwrap_or(length).min(length)])?;
    connection.flush()?;
    if reply.is_silent {
        thread::sleep(Duration::from_secs(60));
    }
    Ok(())
}

#[derive(Default)]
struct Reply {
    status: &'static str,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
    cut: Option<usize>,
    /// After the cut the connection stays open.
    is_silent: bool,
}

fn refuse(status: &'static str, code: &str) -> Reply {
    Reply { status, headers: vec![("x-error-code", code.to_owned())], ..Reply::default() }
}

fn route(state: &mut State, asked: &Asked, port: u16) -> Reply {
    let path = asked.path.split('?').next().unwrap_or_default().trim_start_matches('/').to_owned();
    if let Some(rest) = path.strip_prefix("cdn/") {
        let (name, file) = rest.rsplit_once('/').expect("ORG/NAME/FILE");
        return bytes(state, name, file, asked);
    }
    let parts: Vec<&str> = path.split('/').collect();
    match parts.as_slice() {
        ["api", "models", org, name, "revision", revision] => {
            listing(state, &format!("{org}/{name}"), revision)
        }
        [org, name, "resolve", commit, file @ ..] => {
            let repository = format!("{org}/{name}");
            let Some(found) = state.repositories.get(&repository) else {
                return refuse("404 Not Found", "RepoNotFound");
            };
            if let Some(token) = &found.gate
                && asked.authorization.as_ref() != Some(&format!("Bearer {token}"))
            {
                let status = match asked.authorization {
                    Some(_) => "403 Forbidden",
                    None => "401 Unauthorized",
                };
                return refuse(status, "GatedRepo");
            }
            assert_eq!(*commit, COMMIT, "every file is asked for at one commit");
            let file = file.join("/");
            let Some(content) = found.files.get(&file) else {
                return refuse("404 Not Found", "EntryNotFound");
            };
            if !is_large(&file) {
                return bytes(state, &repository, &file, asked);
            }
            let headers = vec![
                // Another name of the same machine, as the hub's storage is another host.
                ("location", format!("http://localhost:{port}/cdn/{repository}/{file}")),
                ("x-linked-size", content.len().to_string()),
                ("x-linked-etag", format!("\"{}\"", sha256(content))),
                ("x-repo-commit", COMMIT.to_owned()),
            ];
            Reply { status: "302 Found", headers, ..Reply::default() }
        }
        _ => refuse("404 Not Found", ""),
    }
}

fn listing(state: &State, repository: &str, revision: &str) -> Reply {
    // The hub tells nobody without a token whether a repository is private or is not there.
    let Some(found) = state.repositories.get(repository) else {
        return refuse("401 Unauthorized", "RepoNotFound");
    };
    if !["main", COMMIT, "refs%2Fpr%2F1"].contains(&revision) {
        return refuse("404 Not Found", "RevisionNotFound");
    }
    let siblings: Vec<serde_json::Value> = found
        .files
        .iter()
        .map(|(name, content)| {
            let size = state.claims.get(name).copied().unwrap_or(content.len() as u64);
            let mut file = serde_json::json!({"rfilename": name, "size": size});
            if is_large(name) {
                file["lfs"] = serde_json::json!({"sha256": sha256(content), "size": size});
            }
            file
        })
        .collect();
    let body = serde_json::json!({"id": repository, "sha": COMMIT, "siblings": siblings});
    Reply { status: "200 OK", body: body.to_string().into_bytes(), ..Reply::default() }
}

/// A file, or what is asked of it, whole or cut.
fn bytes(state: &mut State, repository: &str, file: &str, asked: &Asked) -> Reply {
    let mut content = state.repositories[repository].files[file].clone();
    if state.altered.iter().any(|name| name == file) {
        content[8] ^= 1;
    }
    let start = asked.range.as_ref().map(|range| {
        range.trim_start_matches("bytes=").trim_end_matches('-').parse::<usize>().expect("a place")
    });
    let cuts = state.cuts.get_mut(file);
    let cut = cuts.and_then(|cuts| (!cuts.is_empty()).then(|| cuts.remove(0)));
    let silence = state.silences.remove(file);
    let (cut, is_silent) = (silence.or(cut), silence.is_some());
    match start {
        None => Reply { status: "200 OK", headers: Vec::new(), body: content, cut, is_silent },
        Some(start) if start >= content.len() => {
            Reply { status: "416 Range Not Satisfiable", ..Reply::default() }
        }
        Some(start) => {
            let total = content.len();
            let range = ("content-range", format!("bytes {start}-{}/{total}", total - 1));
            let body = content.split_off(start);
            Reply { status: "206 Partial Content", headers: vec![range], body, cut, is_silent }
        }
    }
}
