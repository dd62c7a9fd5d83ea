//! A receiver that costs little: it looks for the end of a request, notes which event it was and when it came, and answers.
//!
//! In a thread of its own, so that the callers of the load test do not hold it up.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, sleep};

/// What is done with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    Answer,
    /// Reads it and never answers.
    Hang,
}

#[derive(Debug)]
struct State {
    answers: AtomicBool,
    count: AtomicU64,
    repeated: AtomicU64,
    came: Mutex<HashMap<u64, Instant>>,
}

#[derive(Debug)]
pub(crate) struct Receiver {
    port: u16,
    state: Arc<State>,
    stop: tokio_util::sync::CancellationToken,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Receiver {
    pub(crate) async fn start(behaviour: Behaviour) -> Result<Self> {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let answers = AtomicBool::new(behaviour == Behaviour::Answer);
        let (count, repeated, came) = (AtomicU64::new(0), AtomicU64::new(0), Mutex::default());
        let state = Arc::new(State { answers, count, repeated, came });
        let (stop, shared) = (tokio_util::sync::CancellationToken::new(), state.clone());
        let stopping = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let Ok(listener) = TcpListener::from_std(listener) else { return };
                stopping.run_until_cancelled(listen(listener, shared)).await;
            });
        });
        Ok(Self { port, state, stop })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.answers.store(behaviour == Behaviour::Answer, Ordering::Release);
    }

    /// When an event came first.
    pub(crate) fn came(&self, number: u64) -> Option<Instant> {
        self.state.came.lock().unwrap_or_else(PoisonError::into_inner).get(&number).copied()
    }

    pub(crate) fn repeated(&self) -> u64 {
        self.state.repeated.load(Ordering::Acquire)
    }

    /// Begins to count anew.
    pub(crate) fn forget(&self) {
        self.state.came.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.state.count.store(0, Ordering::Release);
    }

    /// Waits until so many requests were answered.
    pub(crate) async fn wait_for(&self, count: u64, patience: Duration) -> Result<()> {
        let began = Instant::now();
        while self.state.count.load(Ordering::Acquire) < count {
            if began.elapsed() > patience {
                bail!("only {} of {count} deliveries arrived", self.state.count.load(Ordering::Acquire));
            }
            sleep(Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

async fn listen(listener: TcpListener, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        drop(stream.set_nodelay(true));
        tokio::spawn(serve(stream, state.clone()));
    }
}

async fn serve(mut stream: TcpStream, state: Arc<State>) -> Option<()> {
    let mut buffer = Vec::with_capacity(4096);
    loop {
        let (head, length) = loop {
            if let Some(found) = head(&buffer) {
                break found;
            }
            more(&mut stream, &mut buffer).await?;
        };
        while buffer.len() < head + length {
            more(&mut stream, &mut buffer).await?;
        }
        if !state.answers.load(Ordering::Acquire) {
            sleep(Duration::from_secs(3600)).await;
        }
        note(&state, buffer.get(head..head + length)?);
        buffer.drain(..head + length);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
    }
}

fn note(state: &State, body: &[u8]) {
    if let Some(number) = super::number_of(body) {
        let mut came = state.came.lock().unwrap_or_else(PoisonError::into_inner);
        if let std::collections::hash_map::Entry::Vacant(place) = came.entry(number) {
            place.insert(Instant::now());
        } else {
            state.repeated.fetch_add(1, Ordering::AcqRel);
        }
    }
    state.count.fetch_add(1, Ordering::AcqRel);
}

/// Where the body begins and how long it is.
fn head(buffer: &[u8]) -> Option<(usize, usize)> {
    let end = buffer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(buffer.get(..end)?).ok()?;
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Some((end, length.unwrap_or(0)))
}

async fn more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<()> {
    let count = stream.read_buf(buffer).await.ok()?;
    (count > 0).then_some(())
}
