//! The commands that the documents tell people to run.

use std::{fs, path::Path, process::Command};

use certgate::config;

use super::{documents, helm, policy_text};

/// Documents with commands in them.
const DOCUMENTS: [&str; 4] = ["README.md", "README.zh-CN.md", "docs/recipes.md", "docs/operations.md"];
/// What stands for the reader's own address: one set aside for examples, which a policy refuses.
const EXAMPLE_ADDRESS: &str = "203.0.113.7";

/// The blocks of shell commands in a document, outdented.
fn blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<String> = None;
    for line in text.lines().map(str::trim_start) {
        match &mut open {
            None if line == "```sh" => open = Some(String::new()),
            None => {}
            Some(_) if line == "```" => blocks.extend(open.take()),
            Some(block) => {
                block.push_str(line);
                block.push('\n');
            }
        }
    }
    blocks
}

/// The arguments of each installation or upgrade of certgate in a block, as a shell reads them.
fn installs(block: &str) -> Vec<Vec<String>> {
    let script = format!(
        "helm() {{ case \"$*\" in *charts/certgate*) printf '%s\\n' \"$@\" ---;; esac; }}\n\
         for name in kubectl certgate docker curl make cargo; do eval \"$name() {{ :; }}\"; done\n{block}"
    );
    let output = Command::new("bash").args(["-c", &script]).output().unwrap();
    assert!(output.status.success(), "{block}\n{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.split("---\n").filter(|args| !args.is_empty()).map(|args| args.lines().map(str::to_owned).collect()).collect()
}

#[test]
fn every_command_that_installs_renders_a_policy_that_certgate_accepts() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for document in DOCUMENTS {
        let text = fs::read_to_string(root.join(document)).unwrap();
        for args in
            blocks(&text).iter().filter(|block| block.contains("charts/certgate")).flat_map(|block| installs(block))
        {
            count += 1;
            let args: Vec<String> = (args.iter().skip(1))
                .filter(|arg| !["--create-namespace", "--reuse-values"].contains(&arg.as_str()))
                .map(|arg| arg.replace(EXAMPLE_ADDRESS, "8.8.8.8").replace("YOUR.DEFAULT.SUFFIX", "apps.example.com"))
                .map(|arg| arg.replace("您的默认域名后缀", "apps.example.com"))
                .collect();
            let mut all = vec!["template", "--kube-version", helm::KUBERNETES];
            all.extend(args.iter().map(String::as_str));
            let rendered = helm::helm(&all).unwrap_or_else(|error| panic!("{document}: {args:?}: {error}"));
            let objects = documents(&rendered);
            let policy = policy_text(&objects);
            config::parse(Path::new("policy.yaml"), policy)
                .unwrap_or_else(|error| panic!("{document}: {error}\n{policy}"));
        }
    }
    assert!(count >= 9, "{count} commands");
}
