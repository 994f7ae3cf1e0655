//! The programs of others that a lab runs: built once with Go from pinned modules, then taken from a cache.
//!
//! The cache (`CERTGATE_LAB_CACHE`, else `certgate-lab` in the user's cache directory) holds one directory for each
//! [`Part`] and key. The key is a hash of everything that goes into the build, so a changed `go.mod` builds anew and an
//! unchanged one costs milliseconds. A lock file makes processes that start side by side build once.

mod build;
mod key;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{Write, stderr};
use std::path::{Path, PathBuf};
use std::{env, fmt};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::objects::parse;

/// Where the Go modules lie.
const MODULES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/parts");

/// What is built together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// etcd, kube-apiserver, kube-controller-manager, cert-manager 1.21, Pebble and helm: what every lab needs.
    Core,
    /// cert-manager 1.17.0.
    CertManager117,
    /// Traefik.
    Traefik,
    /// apisix-ingress-controller.
    Apisix,
    /// Prometheus' parsers of scrapes, rules and queries.
    Promcheck,
    /// Let's Encrypt's CA, reduced to what it thinks of names, addresses, CAA, orders and fetches.
    Boulder,
    /// Go's reading of certificate requests.
    Csrcheck,
}

impl Part {
    /// All that the test suite needs, in the order in which they are worth building.
    pub const ALL: [Self; 6] =
        [Self::Core, Self::Promcheck, Self::Csrcheck, Self::CertManager117, Self::Apisix, Self::Traefik];

    /// The name on the command line and in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Core => "core",
            Self::CertManager117 => "cert-manager-1.17",
            Self::Traefik => "traefik",
            Self::Apisix => "apisix",
            Self::Promcheck => "promcheck",
            Self::Boulder => "boulder",
            Self::Csrcheck => "csrcheck",
        }
    }

    /// The part of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Boulder]).find(|part| part.name() == name)
    }

    fn recipe(self, assets: bool) -> Recipe {
        match self {
            Self::Core => Recipe {
                module: "",
                sources: &["go.mod", "go.sum", "tools.go", "cmd/cm-controller/main.go", "cmd/cm-controller/version.go"],
                ldflags: "-X k8s.io/component-base/version.gitVersion=v1.36.3 \
                          -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=36",
                packages: if assets { core_packages().split_off(2) } else { core_packages() },
                crds: Some(("github.com/cert-manager/cert-manager", "deploy/crds")),
                takes: "about 6 min",
            },
            Self::CertManager117 => Recipe {
                module: "cm117",
                // The command is the one of 1.21, but for the file that names what differs.
                sources: &["go.mod", "go.sum", "version.go", "../cmd/cm-controller/main.go"],
                ldflags: "",
                packages: vec![Package { path: ".", builds: "cm117", program: "cert-manager-1.17" }],
                crds: Some(("github.com/cert-manager/cert-manager", "deploy/crds")),
                takes: "about 3 min",
            },
            Self::Traefik => Recipe {
                module: "traefik",
                sources: &["go.mod", "go.sum", "tools.go"],
                ldflags: "-X github.com/traefik/traefik/v3/pkg/version.Version=v3.6.12",
                packages: vec![Package {
                    path: "github.com/traefik/traefik/v3/cmd/traefik",
                    builds: "traefik",
                    program: "traefik",
                }],
                crds: None,
                takes: "about 7 min",
            },
            Self::Apisix => Recipe {
                module: "apisix",
                sources: &["go.mod", "go.sum", "tools.go"],
                ldflags: "",
                packages: vec![Package {
                    path: "github.com/apache/apisix-ingress-controller",
                    builds: "apisix-ingress-controller",
                    program: "apisix-ingress-controller",
                }],
                crds: Some(("github.com/apache/apisix-ingress-controller", "samples/deploy/crd/v1")),
                takes: "about 2 min",
            },
            Self::Promcheck => Recipe {
                module: "promcheck",
                sources: &["go.mod", "go.sum", "main.go"],
                ldflags: "",
                packages: vec![Package { path: ".", builds: "promcheck", program: "promcheck" }],
                crds: None,
                takes: "half a minute",
            },
            Self::Boulder => Recipe {
                module: "boulder",
                sources: &["go.mod", "go.sum", "main.go", "judge.go", "validate.go", "limits.go"],
                ldflags: "",
                packages: vec![Package { path: ".", builds: "boulder", program: "boulder-oracle" }],
                crds: None,
                takes: "about 2 min",
            },
            Self::Csrcheck => Recipe {
                module: "csrcheck",
                sources: &["go.mod", "main.go"],
                ldflags: "",
                packages: vec![Package { path: ".", builds: "csrcheck", program: "csrcheck" }],
                crds: None,
                takes: "some seconds",
            },
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A main package and what becomes of it.
struct Package {
    path: &'static str,
    /// The file name that `go build` gives it.
    builds: &'static str,
    /// The file name that we give it.
    program: &'static str,
}

/// How a part is built.
struct Recipe {
    module: &'static str,
    /// Files relative to the module's directory.
    sources: &'static [&'static str],
    ldflags: &'static str,
    packages: Vec<Package>,
    /// Module and directory of the custom resource definitions that belong to it.
    crds: Option<(&'static str, &'static str)>,
    /// What to tell those who wait.
    takes: &'static str,
}

impl Recipe {
    fn directory(&self) -> PathBuf {
        Path::new(MODULES).join(self.module)
    }

    /// Paths and contents of the sources, each under the name that it has in the build.
    fn read_sources(&self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        (self.sources.iter())
            .map(|source| {
                let path = self.directory().join(source);
                let bytes = fs::read(&path).with_context(|| format!("source {}", path.display()))?;
                let target = match source.strip_prefix("../") {
                    Some(_) => PathBuf::from(path.file_name().context("a source without file name")?),
                    None => PathBuf::from(source),
                };
                Ok((target, bytes))
            })
            .collect()
    }
}

/// etcd and kube-apiserver come first, as `KUBEBUILDER_ASSETS` may stand in for them.
fn core_packages() -> Vec<Package> {
    vec![
        Package { path: "go.etcd.io/etcd/server/v3", builds: "server", program: "etcd" },
        Package { path: "k8s.io/kubernetes/cmd/kube-apiserver", builds: "kube-apiserver", program: "kube-apiserver" },
        Package {
            path: "k8s.io/kubernetes/cmd/kube-controller-manager",
            builds: "kube-controller-manager",
            program: "kube-controller-manager",
        },
        Package { path: "./cmd/cm-controller", builds: "cm-controller", program: "cert-manager-1.21" },
        Package { path: "github.com/letsencrypt/pebble/v2/cmd/pebble", builds: "pebble", program: "pebble" },
        Package { path: "helm.sh/helm/v3/cmd/helm", builds: "helm", program: "helm" },
    ]
}

/// Built parts.
#[derive(Clone, Debug)]
pub struct Parts {
    directories: BTreeMap<Part, PathBuf>,
    assets: Option<PathBuf>,
}

impl Parts {
    /// Builds the parts that the cache does not have. Blocks, for minutes when something has to be built, and says so on
    /// standard error.
    pub fn ensure(parts: &[Part]) -> Result<Self> {
        let assets = env::var_os("KUBEBUILDER_ASSETS").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        if let Some(dir) = &assets {
            for program in ["etcd", "kube-apiserver"] {
                let path = dir.join(program);
                if !path.is_file() {
                    bail!("KUBEBUILDER_ASSETS is set, but there is no {}", path.display());
                }
            }
        }
        let cache = cache_directory()?;
        let mut directories = BTreeMap::new();
        for part in parts {
            let directory = ensure_one(*part, &cache, assets.is_some()).with_context(|| format!("part {part}"))?;
            directories.insert(*part, directory);
        }
        Ok(Self { directories, assets })
    }

    /// The path of a program.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        (self.assets.iter())
            .chain(self.directories.values())
            .map(|dir| dir.join(name))
            .find(|path| path.is_file())
            .with_context(|| format!("no part that was asked for has the program {name}"))
    }

    /// A part's custom resource definitions.
    pub fn crds(&self, part: Part) -> Result<Vec<Value>> {
        let directory = self.directories.get(&part).with_context(|| format!("{part} was not asked for"))?;
        let mut files = Vec::new();
        for entry in fs::read_dir(directory.join("crds"))? {
            files.push(entry?.path());
        }
        files.sort();
        let mut definitions = Vec::new();
        for file in files {
            let text = fs::read_to_string(&file)?;
            definitions.extend(parse(&text).with_context(|| format!("{}", file.display()))?);
        }
        Ok(definitions)
    }
}

fn cache_directory() -> Result<PathBuf> {
    if let Some(dir) = env::var_os("CERTGATE_LAB_CACHE") {
        return Ok(dir.into());
    }
    let base = (env::var_os("XDG_CACHE_HOME").map(PathBuf::from))
        .or_else(|| env::home_dir().map(|home| home.join(".cache")))
        .context("no home directory: set CERTGATE_LAB_CACHE to a directory for the built programs")?;
    Ok(base.join("certgate-lab"))
}

fn ensure_one(part: Part, cache: &Path, assets: bool) -> Result<PathBuf> {
    let recipe = part.recipe(assets);
    let sources = recipe.read_sources()?;
    let go = build::go_version(&recipe.directory())?;
    let directory = cache.join(format!("{part}-{}", key::of(&recipe, &sources, &go)));
    if directory.is_dir() {
        return Ok(directory);
    }
    fs::create_dir_all(cache).with_context(|| format!("cache {}", cache.display()))?;
    let lock = File::create(cache.join(format!("{part}.lock")))?;
    if lock.try_lock().is_err() {
        // Whether anyone reads it does not matter.
        let _ = writeln!(stderr(), "waiting for another process that builds {part}…");
        lock.lock()?;
    }
    // Another process may have built it while this one waited.
    if !directory.is_dir() {
        build::build(&recipe, &sources, &directory)?;
    }
    Ok(directory)
}
