//! `certgate explain -f FILE…`: decisions from files, no cluster needed.

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use clap::ValueEnum;

use crate::{
    core::{finding::Lang, policy::Policy},
    explain::{
        self,
        documents::{Documents, Fault},
        render,
        text::{self, MAX_FILE_OCTETS},
    },
};

/// Tell for each host in the files what certgate does, why, and who must act.
///
/// The files may hold any mix of Ingress, ApisixRoute, Namespace, Domain, Issuer, ClusterIssuer, Certificate and
/// Secret documents, YAML or JSON: what `kubectl get -o yaml` or `helm template` print, or AdmissionReviews. Other kinds
/// are passed over. Nothing is looked up: without a Domain in the files a flagged host is one that has not been
/// checked yet. What cannot be read is named on standard error, and the exit code is then 2.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Files to read, or folders of .yaml, .yml and .json files; `-` for standard input.
    #[arg(short, long = "file", required = true, num_args = 1.., value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Policy file; without it nothing is flagged but by annotations, labels and Domains.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What to print.
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Language of the sentences.
    #[arg(long, value_enum, default_value_t)]
    lang: LangArg,
    /// Decide as if every host had just passed its DNS check, to see the change that would follow.
    #[arg(long)]
    assume_verified: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Output {
    /// Sentences and a diff.
    #[default]
    Text,
    /// One JSON document.
    Json,
    /// The Ingresses as they would be.
    Yaml,
}

/// The language of sentences, as a flag.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub enum LangArg {
    /// English.
    #[default]
    En,
    /// Simplified Chinese.
    #[value(name = "zh-CN", alias = "zh")]
    ZhCn,
}

impl From<LangArg> for Lang {
    fn from(lang: LangArg) -> Self {
        match lang {
            LangArg::En => Self::En,
            LangArg::ZhCn => Self::ZhCn,
        }
    }
}

/// Why nothing can be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// A file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file's name as given.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no text, or a folder is empty.
    #[error("{file}: {why}")]
    Unusable {
        /// The file's name as given.
        file: String,
        /// Why.
        why: String,
    },
    /// Files are larger than is read.
    #[error("{file}: more than {} MiB; split it", MAX_FILE_OCTETS / 1024 / 1024)]
    TooLarge {
        /// The file's name as given.
        file: String,
    },
    /// Nothing of what is there can be used.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Faults(Vec<Fault>),
    /// The policy is unusable.
    #[error(transparent)]
    Policy(#[from] crate::config::ConfigError),
    /// There is nothing to decide about.
    #[error("no Ingress or ApisixRoute, nor a Certificate of Rainbond's switch, in {0}; give a file with at least one")]
    Nothing(String),
    /// The result cannot be written.
    #[error("cannot print the result: {0}")]
    Print(#[from] std::io::Error),
    /// The result cannot be put into JSON.
    #[error("cannot print the result: {0}")]
    Json(#[from] serde_json::Error),
    /// The result cannot be put into YAML.
    #[error("cannot print the result: {0}")]
    Yaml(#[from] serde_saphyr::ser_error::Error),
}

/// Reads, decides, prints.
///
/// # Errors
/// Unusable input, naming file and place.
pub fn run(args: &ExplainArgs) -> Result<ExitCode, ExplainError> {
    let mut documents = Documents::default();
    let mut octets = 0;
    for file in files(&args.file)? {
        let name = file.display().to_string();
        let read = read(&file).map_err(|source| ExplainError::Unreadable { file: name.clone(), source })?;
        octets += read.len();
        if octets > MAX_FILE_OCTETS {
            return Err(ExplainError::TooLarge { file: name });
        }
        let text = text::decode(read).map_err(|why| ExplainError::Unusable { file: name.clone(), why })?;
        documents.add(&name, &text);
    }
    let policy = match &args.policy {
        Some(path) => crate::config::load(path)?,
        None => Policy::default(),
    };
    let now = jiff::Timestamp::now();
    let (explained, faults) = explain::explain(&documents, &policy, now, args.assume_verified);
    let faults: Vec<Fault> = documents.faults.into_iter().chain(faults).collect();
    if explained.is_empty() && !faults.is_empty() {
        return Err(ExplainError::Faults(faults));
    }
    if explained.is_empty() {
        let names: Vec<_> = args.file.iter().map(|file| file.display().to_string()).collect();
        return Err(ExplainError::Nothing(names.join(", ")));
    }
    let text = match args.output {
        Output::Text => render::person(&explained, args.lang.into())?,
        Output::Json => render::json(&explained)?,
        Output::Yaml => render::yaml(&explained)?,
    };
    anstream::stdout().write_all(text.as_bytes())?;
    for fault in &faults {
        writeln!(anstream::stderr(), "{fault}")?;
    }
    Ok(if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

/// The files that are asked for: those of a folder are the ones that `kubectl apply -f` takes.
fn files(asked: &[PathBuf]) -> Result<Vec<PathBuf>, ExplainError> {
    let mut all = Vec::new();
    for path in asked {
        if path.as_os_str() == "-" || !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let file = path.display().to_string();
        let unreadable = |source| ExplainError::Unreadable { file: file.clone(), source };
        let mut found = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?.path();
            let extension = entry.extension().and_then(std::ffi::OsStr::to_str);
            if matches!(extension, Some("yaml" | "yml" | "json")) && !entry.is_dir() {
                found.push(entry);
            }
        }
        if found.is_empty() {
            let why = "a folder without a .yaml, .yml or .json file".to_owned();
            return Err(ExplainError::Unusable { file, why });
        }
        found.sort_unstable();
        all.extend(found);
    }
    Ok(all)
}

/// No more than is taken.
fn read(file: &std::path::Path) -> std::io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    let limit = MAX_FILE_OCTETS as u64 + 1;
    if file.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_end(&mut octets)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_end(&mut octets)?;
    }
    Ok(octets)
}
