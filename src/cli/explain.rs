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
        documents::{Documents, DocumentsError, MAX_FILE_OCTETS},
        render,
    },
};

/// Tell for each host in the files what certgate does, why, and who must act.
///
/// The files may hold any mix of Ingress, ApisixRoute, Namespace, Domain, Issuer, ClusterIssuer, Certificate and
/// Secret documents, YAML or JSON, or AdmissionReviews. Nothing is looked up: without a Domain in the
/// files a flagged host is one that has not been checked yet.
#[derive(Debug, clap::Args)]
pub struct ExplainArgs {
    /// Files to read; `-` for standard input.
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
    /// A file is unusable.
    #[error(transparent)]
    Documents(#[from] DocumentsError),
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
    for file in &args.file {
        let name = file.display().to_string();
        let text = read(file).map_err(|source| DocumentsError::Unreadable { file: name.clone(), source })?;
        documents.add(&name, &text)?;
    }
    let policy = match &args.policy {
        Some(path) => crate::config::load(path)?,
        None => Policy::default(),
    };
    let now = jiff::Timestamp::now();
    let explained = explain::explain(&documents, &policy, now, args.assume_verified)?;
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
    Ok(ExitCode::SUCCESS)
}

fn read(file: &std::path::Path) -> std::io::Result<String> {
    let mut text = String::new();
    let limit = MAX_FILE_OCTETS as u64 + 1;
    if file.as_os_str() == "-" {
        std::io::stdin().take(limit).read_to_string(&mut text)?;
    } else {
        std::fs::File::open(file)?.take(limit).read_to_string(&mut text)?;
    }
    Ok(text)
}
