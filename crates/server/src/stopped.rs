//! A node that does not serve: what operators do to the folder of a stopped node goes the same way as on a running one, so
//! that each rule stands in one place. The folder's lock decides whether it is stopped.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use client::api::{CallAnswer, CallError};
use clock::Clock;
use futures::future::BoxFuture;
use http_body_util::{BodyExt, Full};
use hyper::header::{HOST, HeaderValue};
use hyper::{Request, Response};
use outbound::body::pour;
use tokio::io::AsyncWrite;
use webhooks::engine::EngineError;

use crate::config::Config;
use crate::memo::Memo;
use crate::net::headers::Headers;
use crate::net::outgoing::Outgoing;
use crate::net::request::{Body, Head, HeadParts, Request as Asked};
use crate::net::service::Service;
use crate::node::{KEY_FILE, Node, NodeError};
use crate::ops::Ops;

/// The folder of a node that is stopped, held as long as this lives.
#[derive(Debug)]
pub struct Stopped {
    node: Arc<Node>,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StoppedError {
    /// It would then hold files that the node cannot read.
    #[error("data folder {path} belongs to the user with the id {owner}: give this command as that user")]
    Owner {
        /// The folder.
        path: PathBuf,
        /// The user.
        owner: u32,
    },
    /// Its secrets were sealed with a key that stands elsewhere.
    #[error("data folder {path} has no key for its secrets: give --config FILE, which names webhooks.key_file")]
    Key {
        /// The folder.
        path: PathBuf,
    },
    /// The folder cannot be opened.
    #[error(transparent)]
    Node(#[from] NodeError),
    /// The folder cannot be looked at.
    #[error("data folder {path}: cannot be used")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Stopped {
    /// Opens the folder that `config` names.
    ///
    /// # Errors
    /// [`StoppedError`]; of a running node that its folder is in use.
    pub fn open(config: Config) -> BoxFuture<'static, Result<Self, StoppedError>> {
        Box::pin(Self::opened(config))
    }

    async fn opened(config: Config) -> Result<Self, StoppedError> {
        check_owner(&config.folder)?;
        let (folder, key) = (config.folder.clone(), config.folder.join(KEY_FILE));
        let key_is_elsewhere = config.key_file.is_none() && !key.exists();
        match Node::open(config, Clock::system(), None).await {
            Ok(node) => Ok(Self { node: Arc::new(node) }),
            Err(NodeError::Webhooks(EngineError::Sealed(_))) if key_is_elsewhere => {
                // It was made just now, and opens nothing.
                drop(std::fs::remove_file(key));
                Err(StoppedError::Key { path: folder })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Does what an operator asks for.
    ///
    /// # Errors
    /// [`CallError`] where the answer cannot be read.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<CallAnswer, CallError> {
        let mut whole = Vec::new();
        let answer = self.download(request, &mut whole).await?;
        Ok(if answer.body.is_empty() { CallAnswer { body: Bytes::from(whole), ..answer } } else { answer })
    }

    /// As [`Stopped::send`]; the body of a success goes to `sink`.
    ///
    /// # Errors
    /// [`CallError`] where the answer cannot be read or written.
    pub async fn download(
        &self,
        request: Request<Full<Bytes>>,
        sink: &mut (impl AsyncWrite + Unpin),
    ) -> Result<CallAnswer, CallError> {
        let (head, body) = self.answer(request).await.into_parts();
        let mut answer = CallAnswer { status: head.status, headers: head.headers, body: Bytes::new() };
        if answer.status.is_success() {
            pour(body, sink).await.map_err(CallError::Cut)?;
        } else {
            let mut whole = Vec::new();
            pour(body, &mut whole).await.map_err(CallError::Cut)?;
            answer.body = Bytes::from(whole);
        }
        Ok(answer)
    }

    /// Boxed, so that all handlers are compiled here, once.
    fn answer(&self, request: Request<Full<Bytes>>) -> BoxFuture<'_, Response<Outgoing>> {
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            parts.headers.insert(HOST, HeaderValue::from_static("localhost"));
            let body = body.collect().await.unwrap_or_else(|never| match never {}).to_bytes();
            let head = HeadParts {
                method: &parts.method,
                path: parts.uri.path(),
                query: parts.uri.query(),
                headers: Headers::Map(&parts.headers),
                peer: IpAddr::V4(Ipv4Addr::LOCALHOST),
                taken: self.node.clock.moment(),
            };
            let asked = Asked { head: Head(&head), body: Body::Here(&body), memo: &mut Memo::default() };
            Ops(self.node.clone()).answer(asked).await.response
        })
    }

    /// Finishes what was begun, and gives the folder up.
    pub async fn close(self) {
        self.node.close().await;
    }
}

/// Refuses to leave files behind that the node's own user cannot read.
fn check_owner(path: &Path) -> Result<(), StoppedError> {
    match std::fs::metadata(path) {
        Ok(folder) if folder.uid() != rustix::process::geteuid().as_raw() => {
            Err(StoppedError::Owner { path: path.to_owned(), owner: folder.uid() })
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(source) => Err(StoppedError::Folder { path: path.to_owned(), source }),
    }
}
