//! The body of an answer, within a bound, or poured out as it comes.

use std::io;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::error::{ExchangeStage, OutboundError, within};

/// Reads `body` to its end into `text`, which has `max` bytes at most. In the case of an error `text` holds what came before it.
///
/// Cancel safety: `text` holds what has come.
///
/// # Errors
/// [`OutboundError::BodyTooLarge`], [`OutboundError::Broken`], [`OutboundError::TimedOut`].
pub async fn read(body: Incoming, text: &mut BytesMut, max: usize, limit: impl Future<Output = ()>) -> Result<(), OutboundError> {
    within(ExchangeStage::Body, limit, read_on(body, text, max)).await?
}

async fn read_on(mut body: Incoming, text: &mut BytesMut, max: usize) -> Result<(), OutboundError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(OutboundError::broken)?;
        if let Some(data) = frame.data_ref() {
            let room = max.saturating_sub(text.len());
            text.extend_from_slice(data.get(..room).unwrap_or(data));
            if data.len() > room {
                return Err(OutboundError::BodyTooLarge { max });
            }
        }
    }
    Ok(())
}

/// Writes `body` to `sink` as it comes, of any length, and flushes it.
///
/// # Errors
/// What either of them says; part of the body may have been written.
pub async fn pour<B>(body: B, sink: &mut (impl AsyncWrite + Unpin)) -> io::Result<()>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    let mut body = std::pin::pin!(body);
    while let Some(frame) = body.frame().await {
        if let Ok(piece) = frame.map_err(io::Error::other)?.into_data() {
            sink.write_all(&piece).await?;
        }
    }
    sink.flush().await
}
