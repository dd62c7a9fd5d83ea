//! The example page in a real browser: headless Chromium, driven over its DevTools protocol.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::support::*;

/// A browser with one page; ended when dropped.
struct Browser {
    process: Child,
    page: WebSocketStream<TcpStream>,
    number: u64,
    _profile: tempfile::TempDir,
}

impl Browser {
    async fn open(url: &str) -> Self {
        let profile = tempfile::tempdir().unwrap();
        let flags = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--remote-debugging-port=0",
            "--remote-allow-origins=*",
        ];
        let mut command = Command::new("chromium");
        command.args(flags).arg(format!("--user-data-dir={}", profile.path().display())).arg(url);
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("chromium is installed");
        let port_file = profile.path().join("DevToolsActivePort");
        let opened = timeout(PATIENCE, async {
            let port = loop {
                match std::fs::read_to_string(&port_file).unwrap_or_default().lines().next().map(str::parse::<u16>) {
                    Some(Ok(port)) => break port,
                    Some(Err(_)) | None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
                }
            };
            loop {
                let answer = ask(&format!("127.0.0.1:{port}"), "/json/list", &[]).await;
                let pages = body(&answer);
                let page =
                    pages.as_array().unwrap().iter().find(|page| page["url"].as_str().is_some_and(|at| at.starts_with("file:")));
                if let Some(address) = page.and_then(|page| page["webSocketDebuggerUrl"].as_str()) {
                    let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                    break client_async(address, stream).await.unwrap().0;
                }
            }
        });
        let page = opened.await.expect("the browser opens the page in time");
        Self { process, page, number: 0, _profile: profile }
    }

    async fn evaluate(&mut self, script: &str) -> Value {
        self.number += 1;
        let call =
            json!({"id": self.number, "method": "Runtime.evaluate", "params": {"expression": script, "returnByValue": true}});
        self.page.send(Message::text(call.to_string())).await.unwrap();
        loop {
            let answer = timeout(PATIENCE, self.page.next()).await.expect("an answer in time").unwrap().unwrap();
            let answer: Value = serde_json::from_str(answer.to_text().unwrap()).unwrap();
            if answer["id"] == self.number {
                return answer["result"]["result"]["value"].clone();
            }
        }
    }

    /// Waits until the script returns this value.
    async fn becomes(&mut self, script: &str, expected: &str) {
        let mut last = Value::Null;
        let waiting = async {
            while last != expected {
                last = self.evaluate(script).await;
            }
        };
        assert!(timeout(PATIENCE, waiting).await.is_ok(), "{script} stays {last}, not {expected:?}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

const STATE: &str = "document.getElementById('state').textContent";
const CALLS: &str = "document.getElementById('calls').textContent";

#[tokio::test]
async fn the_example_page_logs_in_and_shows_pops() {
    let node = TestNode::start().await;
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../protocol/examples/browser.html").canonicalize().unwrap();
    let mut browser = Browser::open(&format!("file://{}#ws://{}/session", page.display(), node.api)).await;
    browser.becomes(STATE, "logged out").await;
    let log_in = |token: &str| {
        format!("document.getElementById('token').value = '{token}'; document.querySelector('form').requestSubmit()")
    };
    browser.evaluate(&log_in("x.y.z")).await;
    browser.becomes(STATE, "closed: 4001 token refused").await;
    browser.evaluate(&log_in(&person("SBOX", "ADV", "AgencyCloud"))).await;
    browser.becomes(STATE, "logged in").await;
    node.post(event("incomingCall", &["ADV"]).to_string(), &[]).await;
    browser.becomes(CALLS, "incomingCall: 07123 456789 calls 01234 567890").await;
    node.post(event("answeredCall", &["ADV"]).to_string(), &[]).await;
    browser.becomes(CALLS, "answeredCall: 07123 456789 calls 01234 567890").await;
    node.post(event("endedCall", &["ADV"]).to_string(), &[]).await;
    browser.becomes(CALLS, "").await;
}
