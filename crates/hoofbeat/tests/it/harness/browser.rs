//! Headless Chromium, driven by ChromeDriver over the W3C WebDriver protocol.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::Client;

/// The name under which WebDriver gives out elements (W3C WebDriver, section 12).
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// A page that never shows it, however loaded the machine is.
const PATIENCE: Duration = Duration::from_secs(300);
const MISSING: &str = "the page is tested in a real browser: run `scripts/setup --tests` (Debian: apt-get install chromium chromium-driver)";

/// One browser with an empty profile; closed when dropped.
pub(crate) struct Browser {
    driver: Child,
    client: Client,
    session: String,
    _profile: TempDir,
}

impl Browser {
    pub(crate) fn open() -> Browser {
        let spawned =
            Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver =
            spawned.unwrap_or_else(|error| panic!("chromedriver cannot be started ({error}); {MISSING}"));
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines().map_while(Result::ok);
        let port = lines
            .into_iter()
            .find_map(|line| line.strip_suffix('.')?.rsplit_once("successfully on port ")?.1.parse().ok());
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser {
            driver,
            client: Client::new(port.unwrap_or_else(|| panic!("chromedriver did not start; {MISSING}"))),
            session: String::new(),
            _profile: profile,
        };
        browser.begin();
        browser
    }

    fn begin(&mut self) {
        let profile = format!("--user-data-dir={}", self._profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1280,1000",
            &profile,
        ];
        let wanted = json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "goog:chromeOptions": { "args": arguments },
            "goog:loggingPrefs": { "performance": "ALL", "browser": "ALL" },
        } } });
        let session = self.call("POST", "/session", &wanted);
        self.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
    }

    /// One WebDriver command; its value.
    fn call(&mut self, method: &str, path: &str, body: &Value) -> Value {
        let value = self.try_call(method, path, body);
        value.unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// One WebDriver command, or what the driver says against it.
    fn try_call(&mut self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let text = if method == "POST" { body.to_string() } else { String::new() };
        let headers = [("content-type", "application/json")];
        let reply = self.client.send(method, &format!("{}{path}", self.session), &headers, text.as_bytes());
        let value = reply.json()["value"].clone();
        match reply.status {
            200 => Ok(value),
            _ => Err(value["message"].as_str().unwrap_or_default().to_owned()),
        }
    }

    /// Turns page scripts off or on.
    pub(crate) fn set_scripts(&mut self, on: bool) {
        let command = json!({ "cmd": "Emulation.setScriptExecutionDisabled", "params": { "value": !on } });
        self.call("POST", "/goog/cdp/execute", &command);
    }

    /// Makes the browser ask for this language.
    pub(crate) fn set_language(&mut self, language: &str) {
        for (cmd, params) in [
            ("Network.enable", json!({})),
            ("Network.setExtraHTTPHeaders", json!({ "headers": { "Accept-Language": language } })),
        ] {
            self.call("POST", "/goog/cdp/execute", &json!({ "cmd": cmd, "params": params }));
        }
    }

    pub(crate) fn go(&mut self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    pub(crate) fn title(&mut self) -> String {
        self.call("GET", "/title", &Value::Null).as_str().unwrap().to_owned()
    }

    pub(crate) fn address(&mut self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap().to_owned()
    }

    /// The first element of a CSS selector, waited for.
    fn element(&mut self, selector: &str) -> String {
        let started = Instant::now();
        loop {
            let found =
                self.call("POST", "/elements", &json!({ "using": "css selector", "value": selector }));
            if let Some(id) = found[0][ELEMENT].as_str() {
                return format!("/element/{id}");
            }
            assert!(started.elapsed() < PATIENCE, "there is no {selector} on {}", self.address());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Whether an element is there and can be seen.
    pub(crate) fn sees(&mut self, selector: &str) -> bool {
        let found = self.call("POST", "/elements", &json!({ "using": "css selector", "value": selector }));
        let Some(id) = found[0][ELEMENT].as_str().map(str::to_owned) else { return false };
        // A page that has just been replaced has taken its elements with it.
        self.try_call("GET", &format!("/element/{id}/displayed"), &Value::Null) == Ok(json!(true))
    }

    /// Waits until an element can be seen.
    pub(crate) fn wait_for(&mut self, selector: &str) {
        let started = Instant::now();
        while !self.sees(selector) {
            assert!(started.elapsed() < PATIENCE, "{selector} cannot be seen on {}", self.address());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// An element's visible text.
    pub(crate) fn text(&mut self, selector: &str) -> String {
        let element = self.element(selector);
        self.call("GET", &format!("{element}/text"), &Value::Null).as_str().unwrap().to_owned()
    }

    pub(crate) fn attribute(&mut self, selector: &str, name: &str) -> String {
        let element = self.element(selector);
        let value = self.call("GET", &format!("{element}/attribute/{name}"), &Value::Null);
        value.as_str().unwrap_or_default().to_owned()
    }

    /// A computed CSS property.
    pub(crate) fn style(&mut self, selector: &str, property: &str) -> String {
        let element = self.element(selector);
        self.call("GET", &format!("{element}/css/{property}"), &Value::Null).as_str().unwrap().to_owned()
    }

    pub(crate) fn click(&mut self, selector: &str) {
        let element = self.element(selector);
        self.call("POST", &format!("{element}/click"), &json!({}));
    }

    /// Replaces what a field holds; the Tab key leaves it.
    pub(crate) fn fill(&mut self, selector: &str, text: &str) {
        let element = self.element(selector);
        self.call("POST", &format!("{element}/clear"), &json!({}));
        self.call("POST", &format!("{element}/value"), &json!({ "text": format!("{text}\u{e004}") }));
    }

    /// Every address that was asked for since the last call.
    pub(crate) fn requests(&mut self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", &json!({ "type": "performance" }));
        let message =
            |entry: &Value| serde_json::from_str::<Value>(entry["message"].as_str().unwrap()).unwrap();
        let asked = entries.as_array().unwrap().iter().map(message);
        asked
            .filter(|event| event["message"]["method"] == "Network.requestWillBeSent")
            .map(|event| event["message"]["params"]["request"]["url"].as_str().unwrap().to_owned())
            .collect()
    }

    /// What the browser complained about (a refused resource, a script's error) since the last call.
    pub(crate) fn complaints(&mut self) -> Vec<String> {
        let entries = self.call("POST", "/se/log", &json!({ "type": "browser" }));
        entries
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["message"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends the browser; the driver may be gone after a failure.
        let _ = self.client.try_send("DELETE", &self.session, &[], b"");
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
