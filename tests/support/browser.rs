//! A headless Chromium that is told what to do over a pair of pipes (Chrome
//! DevTools Protocol): true device sizes, colour schemes, scripts on and off.

use std::{path::Path, process::Command, time::Duration};

use anyhow::{Context, Result, ensure};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::unix::pipe,
    time::Instant,
};

/// How long one command, and one condition, may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A browser; it ends with this.
pub(crate) struct Browser {
    process: std::process::Child,
    _profile: tempfile::TempDir,
    to: pipe::Sender,
    from: pipe::Receiver,
    heard: Vec<u8>,
    asked: u64,
    session: String,
}

/// What a page is shown on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Device {
    pub(crate) width: u32,
    pub(crate) dark: bool,
    pub(crate) script: bool,
}

/// A desk.
pub(crate) const DESK: Device = Device { width: 1280, dark: false, script: true };
/// A small phone.
pub(crate) const PHONE: Device = Device { width: 360, dark: false, script: true };

impl Browser {
    /// Starts one with an empty tab.
    pub(crate) async fn start() -> Result<Self> {
        let profile = tempfile::tempdir()?;
        let (to, from) = (profile.path().join("to"), profile.path().join("from"));
        ensure!(Command::new("mkfifo").args([&to, &from]).status()?.success(), "mkfifo");
        let open = || {
            let mut options = pipe::OpenOptions::new();
            options.read_write(true);
            options
        };
        let (sender, receiver) = (open().open_sender(&to)?, open().open_receiver(&from)?);
        let flags = "--headless --no-sandbox --disable-gpu --no-first-run --hide-scrollbars --remote-debugging-pipe";
        let process = Command::new("bash")
            .args([
                "-c",
                &format!("exec chromium {flags} --user-data-dir=\"$0\" about:blank 3<\"$1\" 4>\"$2\" 2>/dev/null"),
            ])
            .args([profile.path(), &to, &from])
            .spawn()
            .context("chromium cannot be started; apt-get install chromium")?;
        let mut browser = Self {
            process,
            _profile: profile,
            to: sender,
            from: receiver,
            heard: Vec::new(),
            asked: 0,
            session: String::new(),
        };
        let target = browser.ask("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attached =
            browser.ask("Target.attachToTarget", json!({"targetId": target["targetId"], "flatten": true})).await?;
        browser.session = attached["sessionId"].as_str().context("no session")?.to_owned();
        browser.ask("Page.enable", json!({})).await?;
        Ok(browser)
    }

    /// Asks, and waits for the answer to just that.
    pub(crate) async fn ask(&mut self, method: &str, params: Value) -> Result<Value> {
        self.asked += 1;
        let mut request = json!({"id": self.asked, "method": method, "params": params});
        if !self.session.is_empty() {
            request["sessionId"] = json!(self.session);
        }
        let mut bytes = serde_json::to_vec(&request)?;
        bytes.push(0);
        self.to.write_all(&bytes).await?;
        loop {
            while let Some(end) = self.heard.iter().position(|byte| *byte == 0) {
                let message: Vec<u8> = self.heard.drain(..=end).collect();
                let message: Value = serde_json::from_slice(&message[..end])?;
                if message["id"] == self.asked {
                    ensure!(message["error"].is_null(), "{method}: {message}");
                    return Ok(message["result"].clone());
                }
            }
            let mut chunk = vec![0; 64 * 1024];
            let read = tokio::time::timeout(PATIENCE, self.from.read(&mut chunk)).await.with_context(|| {
                format!("chromium does not answer {method}; is it installed? apt-get install chromium")
            })??;
            self.heard.extend_from_slice(&chunk[..read]);
        }
    }

    /// Evaluates an expression in the page; a promise is waited for.
    pub(crate) async fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let result = self.ask("Runtime.evaluate", params).await?;
        ensure!(result["exceptionDetails"].is_null(), "{}", result["exceptionDetails"]);
        Ok(result["result"]["value"].clone())
    }

    /// Opens an address as that device shows it.
    pub(crate) async fn open(&mut self, address: &str, device: Device) -> Result<()> {
        let phone = device.width < 600;
        let metrics = json!({"width": device.width, "height": 800, "deviceScaleFactor": 1, "mobile": phone});
        self.ask("Emulation.setDeviceMetricsOverride", metrics).await?;
        self.ask("Emulation.setTouchEmulationEnabled", json!({"enabled": phone})).await?;
        let scheme = if device.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.ask("Emulation.setEmulatedMedia", json!({"features": features})).await?;
        self.ask("Emulation.setScriptExecutionDisabled", json!({"value": !device.script})).await?;
        // A page left behind must not be taken for the one asked for.
        self.ask("Page.navigate", json!({"url": "about:blank"})).await?;
        self.until("location.href === 'about:blank'").await?;
        self.ask("Page.navigate", json!({"url": address})).await?;
        self.until("location.href !== 'about:blank' && document.readyState === 'complete'").await
    }

    /// Waits until an expression is true.
    pub(crate) async fn until(&mut self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // A page that is being left may take the question with it.
        while self.evaluate(expression).await.ok() != Some(json!(true)) {
            ensure!(Instant::now() < deadline, "it never became true: {expression}");
        }
        Ok(())
    }

    /// Draws the whole page into a file, and returns how wide and tall it is.
    pub(crate) async fn draw(&mut self, picture: &Path) -> Result<()> {
        let shot = self.ask("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": true})).await?;
        let bytes = BASE64_STANDARD.decode(shot["data"].as_str().context("no picture")?)?;
        ensure!(bytes.len() > 10_000, "{} is as good as empty", picture.display());
        Ok(std::fs::write(picture, bytes)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
