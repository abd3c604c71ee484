//! Chromium, driven as a person drives it: through chromedriver, and for keys with a keyboard layout
//! through the DevTools protocol, because WebDriver knows only the American layout.

use super::{is_ci, leash::Leash};
use fantoccini::{Client, ClientBuilder, Locator, elements::Element};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::{
    future::Future,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

/// How long a page may take to show what a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A browser window with a profile of its own.
pub(crate) struct Browser {
    pub(crate) client: Client,
    /// Where downloads arrive.
    pub(crate) downloads: tempfile::TempDir,
    session: String,
    _driver: Leash,
    _profile: tempfile::TempDir,
}

/// A key: where it is on the keyboard (`KeyboardEvent.code`) and what the layout makes of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) code: &'static str,
    pub(crate) key: &'static str,
    /// Windows' virtual key code, which Chromium wants too.
    pub(crate) number: u32,
}

impl Browser {
    /// None, and a line that says so, without Chromium; on CI that is a failure.
    pub(crate) async fn start() -> Option<Self> {
        let programs = find("chromium").or_else(|| find("google-chrome")).zip(find("chromedriver"));
        let Some((chromium, driver)) = programs else {
            assert!(!is_ci(), "Chromium and chromedriver are needed on CI");
            eprintln!("skipped: no Chromium, install the packages chromium and chromium-driver");
            return None;
        };
        let (driver, address) = tokio::task::block_in_place(|| start_driver(&driver));
        let (profile, downloads) = (tempfile::tempdir().ok()?, tempfile::tempdir().ok()?);
        let capabilities = json!({"goog:chromeOptions": {
            "binary": chromium,
            "args": [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--no-first-run", "--lang=en", format!("--user-data-dir={}", profile.path().display()),
            ],
            "prefs": {"download.default_directory": downloads.path(), "intl.accept_languages": "en"},
        }});
        let Value::Object(capabilities) = capabilities else { unreachable!("an object") };
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(capabilities)
            .connect(&address)
            .await
            .expect("Chromium starts");
        let session = client.session_id().await.expect("a session").expect("its id");
        let session = format!("{address}/session/{session}");
        let browser = Self { client, downloads, session, _driver: driver, _profile: profile };
        let place = json!({"behavior": "allow", "downloadPath": browser.downloads.path()});
        browser.devtools("Browser.setDownloadBehavior", place).await;
        Some(browser)
    }

    pub(crate) async fn open(&self, url: &str) {
        self.client.goto(url).await.unwrap_or_else(|error| panic!("{url}: {error}"));
    }

    pub(crate) async fn find(&self, css: &str) -> Element {
        let found = self.client.find(Locator::Css(css)).await;
        match found {
            Ok(element) => element,
            Err(error) => panic!("{css}: {error}\n{}", self.text().await),
        }
    }

    pub(crate) async fn click(&self, css: &str) {
        let clicked = self.find(css).await.click().await;
        clicked.unwrap_or_else(|error| panic!("click {css}: {error}"));
    }

    /// Types into a field in place of what is there.
    pub(crate) async fn fill(&self, css: &str, text: &str) {
        let field = self.find(css).await;
        field.clear().await.unwrap_or_else(|error| panic!("clear {css}: {error}"));
        field.send_keys(text).await.unwrap_or_else(|error| panic!("type into {css}: {error}"));
    }

    pub(crate) async fn text(&self) -> String {
        let text = self.run("return document.body.innerText").await;
        text.as_str().unwrap_or_default().to_owned()
    }

    pub(crate) async fn path(&self) -> String {
        self.client.current_url().await.expect("an address").path().to_owned()
    }

    /// Runs a script in the page; what it returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.client
            .execute(script, Vec::new())
            .await
            .unwrap_or_else(|error| panic!("{script}: {error}"))
    }

    /// Asks until the answer is yes; panics with the page when it takes too long.
    pub(crate) async fn wait_until<F: Future<Output = bool>>(
        &self,
        what: &str,
        mut is_so: impl FnMut() -> F,
    ) {
        let started = Instant::now();
        while !is_so().await {
            assert!(started.elapsed() < PATIENCE, "{what} does not happen:\n{}", self.text().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until a script returns true.
    pub(crate) async fn wait_for(&self, script: &str) {
        self.wait_until(script, || async { self.run(script).await == Value::Bool(true) }).await;
    }

    /// Presses a key as a keyboard does.
    pub(crate) async fn press(&self, key: Key) {
        let event = |kind: &str| {
            let mut event = json!({
                "type": kind, "code": key.code, "key": key.key,
                "windowsVirtualKeyCode": key.number, "nativeVirtualKeyCode": key.number,
            });
            if kind == "keyDown" && key.key.chars().count() == 1 {
                event["text"] = json!(key.key);
            }
            event
        };
        self.devtools("Input.dispatchKeyEvent", event("keyDown")).await;
        self.devtools("Input.dispatchKeyEvent", event("keyUp")).await;
    }

    /// A width and height of the window, and whether the person prefers dark colours.
    pub(crate) async fn look_like(&self, width: u32, height: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// The language that the browser asks for.
    pub(crate) async fn speak(&self, language: &str) {
        self.devtools("Network.enable", json!({})).await;
        let headers = json!({"headers": {"Accept-Language": language}});
        self.devtools("Network.setExtraHTTPHeaders", headers).await;
    }

    /// The whole page as a PNG file, as wide as the window.
    pub(crate) async fn screenshot(&self, width: u32, dark: bool, path: &Path) {
        self.look_like(width, 800, dark).await;
        let height = self
            .run("return document.documentElement.scrollHeight")
            .await
            .as_u64()
            .expect("a height");
        self.look_like(width, (height as u32).clamp(800, 6000), dark).await;
        let picture = self.client.screenshot().await.expect("a picture");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(path, picture).expect("the picture can be written");
    }

    /// A command of the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        let body = json!({"cmd": command, "params": parameters});
        let url = format!("{}/goog/cdp/execute", self.session);
        let answer = reqwest::Client::new()
            .post(url)
            .json(&body)
            .send()
            .await
            .expect("chromedriver answers");
        let answer: Value = answer.json().await.expect("JSON");
        assert!(answer["value"]["error"].is_null(), "{command}: {answer}");
        answer["value"].clone()
    }

    /// Ends the session, so that Chromium leaves before its driver does.
    pub(crate) async fn close(self) {
        self.client.clone().close().await.expect("the session ends");
    }
}

/// How often a driver is started that ends before it listens: it takes a port that is free over IPv4, and
/// ends where somebody has the same one over IPv6.
const DRIVER_STARTS: usize = 5;

fn start_driver(program: &Path) -> (Leash, String) {
    let started = (0..DRIVER_STARTS).find_map(|_| {
        let mut driver = Leash::start(program, ["--port=0"], |command| {
            command.stdout(Stdio::piped()).stderr(Stdio::null())
        });
        let mut lines = BufReader::new(driver.stdout()).lines();
        let port = lines.by_ref().map_while(Result::ok).find_map(|line| {
            let port = line.rsplit_once("successfully on port ")?.1;
            port.trim_end_matches('.').parse::<u16>().ok()
        })?;
        std::thread::spawn(move || lines.for_each(drop));
        Some((driver, format!("http://127.0.0.1:{port}")))
    });
    started.expect("chromedriver says on which port it listens")
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file())
}
