//! Recordings: requests and the answers gathered for them, one JSON document a line.

use std::{
    fs::File,
    io::{self, BufWriter, Read as _, Write as _},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::core::verdict::{Request, answers::Answers};

/// The largest recording that is read, in octets.
const MAX_OCTETS: u64 = 64 << 20;

/// What was asked about a host, and answered.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Recording {
    pub request: Request,
    pub answers: Answers,
}

/// Why a recording is unusable.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// It cannot be read.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write {file}: {source}")]
    Write {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is beyond bounds.
    #[error("{0} is larger than 64 MiB; record fewer hosts at a time")]
    TooLarge(PathBuf),
    /// It is not what `--record` writes.
    #[error("{file}: document {number} is no recording: {source}; make one with certgate check --record FILE HOST…")]
    Malformed {
        /// The file.
        file: PathBuf,
        /// Which document, from 1.
        number: usize,
        /// In what respect.
        source: serde_json::Error,
    },
    /// It holds nothing.
    #[error("{0} holds no recording; make one with certgate check --record FILE HOST…")]
    Empty(PathBuf),
    /// A host asked for is not in it.
    #[error("{file} holds no recording of {host}")]
    Absent {
        /// The file.
        file: PathBuf,
        /// The host.
        host: String,
    },
}

pub(super) fn read(file: &Path) -> Result<Vec<Recording>, RecordingError> {
    let unreadable = |source| RecordingError::Read { file: file.to_owned(), source };
    let mut text = String::new();
    File::open(file).map_err(unreadable)?.take(MAX_OCTETS + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > MAX_OCTETS {
        return Err(RecordingError::TooLarge(file.to_owned()));
    }
    let recordings: Vec<Recording> = serde_json::Deserializer::from_str(&text)
        .into_iter()
        .enumerate()
        .map(|(index, recording)| {
            recording.map_err(|source| RecordingError::Malformed { file: file.to_owned(), number: index + 1, source })
        })
        .collect::<Result<_, _>>()?;
    if recordings.is_empty() { Err(RecordingError::Empty(file.to_owned())) } else { Ok(recordings) }
}

pub(super) fn write(file: &Path, recordings: &[Recording]) -> Result<(), RecordingError> {
    let unwritable = |source| RecordingError::Write { file: file.to_owned(), source };
    let mut out = BufWriter::new(File::create(file).map_err(unwritable)?);
    for recording in recordings {
        serde_json::to_writer(&mut out, recording).map_err(|error| unwritable(error.into()))?;
        out.write_all(b"\n").map_err(unwritable)?;
    }
    out.flush().map_err(unwritable)
}
