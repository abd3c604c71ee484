//! One file of a base: in parts if the connection breaks, checked, and whole or not there.

use super::{
    client::{HubProblem, OpenedFile},
    files::RemoteFile,
    make_folder,
    origin::BaseOrigin,
};
use crate::{
    errors::{WithMessage, cannot_make, cannot_write},
    job::Report,
    progress::say,
};
use anyhow::{Result, bail, ensure};
use entity::{message, message::KeyedMessage, report::LogLevel};
use sha2::{Digest, Sha256};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    ops::ControlFlow,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// Where files come from and where they go.
pub(super) struct DownloadTarget<'a> {
    pub origin: &'a BaseOrigin<'a>,
    pub commit: &'a str,
    pub folder: &'a Path,
}

/// Failures in a row without a byte between them: about a minute, with pauses that grow to 16 seconds.
const MAX_FAILURES: u32 = 9;

const CHUNK: usize = 1 << 18;

/// Fetches `file` if it is not in the folder; `on_bytes` counts what arrives.
pub(super) fn download(
    target: &DownloadTarget,
    file: &RemoteFile,
    report: &mut Report,
    on_bytes: &mut dyn FnMut(u64, &mut Report) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let whole = target.folder.join(&file.name);
    if whole.is_file() {
        return Ok(ControlFlow::Continue(()));
    }
    let is_too_large = file.size.zip(file.most_bytes()).is_some_and(|(size, most)| size > most);
    ensure!(!is_too_large, too_large(file));
    let path = target.folder.join(file.part_name());
    if !path.is_file()
        && let Some(cached) = target.origin.cached(file)
        && fs::copy(&cached, &path).is_ok()
    {
        let found = message!(
            "fetch-is-cached",
            "{file} is in {path}",
            file = file.name.as_str(),
            path = cached.display()
        );
        say(report, LogLevel::Info, found);
        let _ = on_bytes(file.size.unwrap_or(0), report);
    }
    let mut part = PartialFile::open(path, file.clone())?;
    let mut failures = 0;
    while !part.is_whole() {
        let before = part.length;
        let why = match target.origin.open(target.commit, &file.name, part.length) {
            Ok(opened) => match part.take(opened, report, on_bytes)? {
                DownloadEnd::All => break,
                DownloadEnd::Stopped => return Ok(ControlFlow::Break(())),
                DownloadEnd::Until(why) => why,
            },
            Err(HubProblem::BeyondEnd) => {
                part.restart()?;
                message!("fetch-too-long", "what was fetched is longer than the file")
            }
            Err(HubProblem::Passing(why)) => why,
            Err(HubProblem::Final(error)) => return Err(error),
        };
        failures = if part.length > before { 1 } else { failures + 1 };
        if failures >= MAX_FAILURES {
            return Err(target.origin.unreachable(&why).into());
        }
        let again = message!(
            "fetch-again",
            "{file}: {why}; trying again from {bytes} bytes",
            file = file.name.as_str(),
            why = why,
            bytes = part.length
        );
        say(report, LogLevel::Warning, again);
        thread::sleep(Duration::from_millis(250 << failures.min(6)));
    }
    part.finish(&whole)?;
    Ok(ControlFlow::Continue(()))
}

/// A file on its way.
struct PartialFile {
    path: PathBuf,
    file: File,
    length: u64,
    hash: Sha256,
    expected: RemoteFile,
}

enum DownloadEnd {
    All,
    Stopped,
    /// The connection ended before the file, and why.
    Until(KeyedMessage),
}

impl PartialFile {
    /// Goes on with what is there.
    fn open(path: PathBuf, expected: RemoteFile) -> Result<Self> {
        path.parent().map_or(Ok(()), make_folder)?;
        let mut options = OpenOptions::new();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_message(|| cannot_write(&path))?;
        let mut hash = Sha256::new();
        let mut length = 0;
        let mut chunk = vec![0; CHUNK];
        loop {
            match file.read(&mut chunk)? {
                0 => break,
                n => {
                    hash.update(&chunk[..n]);
                    length += n as u64;
                }
            }
        }
        Ok(Self { path, file, length, hash, expected })
    }

    fn is_whole(&self) -> bool {
        self.expected.size == Some(self.length) && self.length > 0
    }

    fn restart(&mut self) -> Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.length, self.hash) = (0, Sha256::new());
        Ok(())
    }

    /// Writes what comes until it ends.
    fn take(
        &mut self,
        mut opened: OpenedFile,
        report: &mut Report,
        on_bytes: &mut dyn FnMut(u64, &mut Report) -> ControlFlow<()>,
    ) -> Result<DownloadEnd> {
        self.expected.size = self.expected.size.or(opened.size);
        self.expected.sha256 = self.expected.sha256.take().or(opened.sha256.take());
        if opened.start != self.length {
            self.restart()?;
            if opened.start != 0 {
                let other = message!("hub-other-part", "the server answered another part");
                return Ok(DownloadEnd::Until(other));
            }
        }
        let name = &self.expected.name;
        let most = self.expected.size.or(self.expected.most_bytes()).with_message(|| {
            message!(
                "fetch-size-unknown",
                "the server does not tell how large {file} is, and it may fill the disk: take the model from elsewhere",
                file = name.as_str()
            )
        })?;
        let mut chunk = vec![0; CHUNK];
        loop {
            let n = match opened.reader.read(&mut chunk) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Ok(DownloadEnd::Until(connection_broke(&error))),
            };
            if self.length + n as u64 > most {
                fs::remove_file(&self.path)?;
                bail!(longer_than_told(&self.expected.name, most));
            }
            self.file.write_all(&chunk[..n]).map_err(|error| self.unwritten(&error))?;
            self.hash.update(&chunk[..n]);
            self.length += n as u64;
            if on_bytes(n as u64, report).is_break() {
                return Ok(DownloadEnd::Stopped);
            }
        }
        match self.expected.size {
            Some(size) if self.length < size => {
                Ok(DownloadEnd::Until(message!("hub-ended-early", "the connection ended early")))
            }
            _ => Ok(DownloadEnd::All),
        }
    }

    fn unwritten(&self, error: &io::Error) -> KeyedMessage {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => message!(
                "fetch-disk-full",
                "the disk is full: {path} has {bytes} bytes so far; make room and start again, it goes on from there",
                path = self.path.display(),
                bytes = self.length
            ),
            _ => cannot_write(&self.path).because(KeyedMessage::from(error)),
        }
    }

    /// Checks size and hash and gives the file its name; what is wrong is thrown away.
    fn finish(mut self, whole: &Path) -> Result<()> {
        self.file.flush().map_err(|error| self.unwritten(&error))?;
        self.file.sync_all().map_err(|error| self.unwritten(&error))?;
        let hash = hex::encode(self.hash.finalize_reset());
        let wrong = match &self.expected {
            RemoteFile { size: Some(size), .. } if *size != self.length => Some(message!(
                "fetch-other-size",
                "{bytes} bytes instead of {expected}",
                bytes = self.length,
                expected = *size
            )),
            RemoteFile { sha256: Some(expected), .. } if *expected != hash => Some(message!(
                "fetch-other-hash",
                "with the SHA-256 {hash} instead of {expected}",
                hash = hash,
                expected = expected
            )),
            _ => None,
        };
        if let Some(wrong) = wrong {
            fs::remove_file(&self.path)?;
            bail!(message!(
                "fetch-altered",
                "{file} arrived altered, {wrong}: start again to fetch it anew",
                file = self.expected.name.as_str(),
                wrong = wrong
            ));
        }
        fs::rename(&self.path, whole).with_message(|| cannot_make(whole))
    }
}

/// Before anything of it is fetched.
fn too_large(file: &RemoteFile) -> KeyedMessage {
    let megabytes = |bytes: Option<u64>| bytes.unwrap_or_default() >> 20;
    let (size, most) = (megabytes(file.size), megabytes(file.most_bytes()));
    message!(
        "fetch-file-too-large",
        "{file} is to have {size} MB, which no model needs ({most} MB are the most): take the model from elsewhere",
        file = file.name.as_str(),
        size = size,
        most = most
    )
}

/// A disk could be filled so.
fn longer_than_told(file: &str, most: u64) -> KeyedMessage {
    message!(
        "fetch-longer-than-told",
        "{file} goes on after the {bytes} bytes that it may have; nothing of it was kept: take the model from elsewhere",
        file = file,
        bytes = most
    )
}

fn connection_broke(error: &io::Error) -> KeyedMessage {
    message!("hub-broke", "the connection broke ({why})", why = KeyedMessage::from(error))
}
