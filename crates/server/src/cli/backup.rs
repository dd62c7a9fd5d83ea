//! `bellwire backup` and `bellwire restore`

use std::fs;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use bytesize::ByteSize;
use clap::Args;
use serde_json::json;
use store::Store;
use store::error::OpenError;

use super::fail;
use super::ops::{CommandOutput, OpsError, Place, PlaceArgs};

#[derive(Debug, Args)]
pub(super) struct BackupArgs {
    /// Where the copy goes; a file that is there is left alone.
    file: PathBuf,
    #[command(flatten)]
    place: PlaceArgs,
}

#[derive(Debug, Args)]
pub(super) struct RestoreArgs {
    /// What `bellwire backup` has made.
    file: PathBuf,
    /// The data folder of a stopped node; made if it is missing.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Puts the backup in the place of a database that is there, which is lost.
    #[arg(long)]
    replace: bool,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
enum BackupError {
    #[error("{path}")]
    File { path: PathBuf, source: io::Error },
    #[error("the copy is not whole")]
    Verify(#[from] OpenError),
    #[error(transparent)]
    Ops(#[from] OpsError),
}

pub(super) fn run(args: &BackupArgs) -> ExitCode {
    args.place.run(async |place| {
        let partial = PathBuf::from(format!("{}.partial", args.file.display()));
        let made = back_up(&args.file, &partial, place).await;
        if made.is_err() {
            // It may not have been made.
            drop(fs::remove_file(partial));
        }
        made
    })
}

/// The copy has its name only when it is whole, was read, and is on disk.
async fn back_up(file: &Path, partial: &Path, place: &mut Place) -> Result<CommandOutput, BackupError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    if file.exists() {
        return Err(failed(file)(io::ErrorKind::AlreadyExists.into()));
    }
    let opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(partial);
    let mut sink = Written(opened.map_err(failed(partial))?);
    place.download("/backup", &mut sink).await?;
    sink.0.sync_all().map_err(failed(partial))?;
    Store::verify(partial)?;
    fs::rename(partial, file).map_err(failed(file))?;
    let bytes = fs::metadata(file).map_err(failed(file))?.len();
    Ok(CommandOutput {
        json: json!({"file": file, "bytes": bytes}),
        text: format!(
            "{} in {}; the key of webhooks' secrets (webhooks.key) is not in it: keep that elsewhere\n",
            ByteSize(bytes),
            file.display()
        ),
    })
}

/// A file that is written while nothing else is to be done.
struct Written(fs::File);

impl tokio::io::AsyncWrite for Written {
    fn poll_write(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        piece: &[u8],
    ) -> std::task::Poll<io::Result<usize>> {
        std::task::Poll::Ready(io::Write::write(&mut self.0, piece))
    }

    fn poll_flush(mut self: std::pin::Pin<&mut Self>, _: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        std::task::Poll::Ready(io::Write::flush(&mut self.0))
    }

    fn poll_shutdown(self: std::pin::Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> std::task::Poll<io::Result<()>> {
        self.poll_flush(cx)
    }
}

pub(super) fn put_back(args: &RestoreArgs) -> ExitCode {
    match Store::restore(&args.file, &args.data, args.replace) {
        Ok(()) => {
            println!(
                "restored into {}; what came, went or was delivered since the backup is as it was then",
                args.data.display()
            );
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}
