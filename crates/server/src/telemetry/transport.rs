//! One POST to the endpoint, and what the log says of it.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use client::address::Address;
use client::api::{Api, CallAnswer, CallError};
use http_body_util::Full;
use hyper::header::CONTENT_TYPE;
use hyper::{Request, Response};
use opentelemetry_http::{Bytes, HttpClient, HttpError};
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long the endpoint has to take what is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// The endpoint. Who sends spans does so from a thread without a runtime.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    pub(super) address: Address,
    pub(super) runtime: Handle,
    pub(super) is_failing: Arc<AtomicBool>,
}

/// Why something was not taken.
#[derive(Debug, thiserror::Error)]
enum TransportError {
    #[error("it took longer than 10 s")]
    Slow,
    #[error("refused with {0}")]
    Refused(u16),
    #[error(transparent)]
    Failed(#[from] CallError),
}

impl Transport {
    /// Sends protocol buffers to a path.
    pub(super) async fn post(&self, path: &str, body: Vec<u8>) -> Result<CallAnswer, HttpError> {
        let request = Request::post(path).header(CONTENT_TYPE, "application/x-protobuf").body(Full::from(body))?;
        self.send(request).await
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<CallAnswer, HttpError> {
        let (mut api, what) = (Api::new(self.address.clone()), request.uri().path().to_owned());
        let sent = match timeout(PATIENCE, api.send(request)).await {
            Ok(Ok(answer)) if answer.status.is_success() => Ok(answer),
            Ok(Ok(answer)) => Err(TransportError::Refused(answer.status.as_u16())),
            Ok(Err(error)) => Err(error.into()),
            Err(_) => Err(TransportError::Slow),
        };
        self.tell(&what, sent.as_ref().err());
        Ok(sent?)
    }

    /// One line when it begins to fail, and one when it works again.
    fn tell(&self, what: &str, error: Option<&TransportError>) {
        let endpoint = self.address.authority();
        match (error, self.is_failing.swap(error.is_some(), Ordering::AcqRel)) {
            (Some(error), false) => {
                let error = error as &dyn std::error::Error;
                tracing::warn!(endpoint, what, error, "telemetry is not taken: what does not fit into memory is left out");
            }
            (None, true) => tracing::info!(endpoint, "telemetry is taken again"),
            (Some(_), true) | (None, false) => {}
        }
    }
}

impl HttpClient for Transport {
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        let transport = self.clone();
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let sending = self.runtime.spawn(async move { transport.post(&path, body.to_vec()).await });
        Box::pin(async move {
            let answer = sending.await??;
            let mut response = Response::new(answer.body);
            *response.status_mut() = answer.status;
            Ok(response)
        })
    }
}
