//! The status page's flags, the same for every role that serves it.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use kube::Client;
use tokio::task::JoinSet;

use crate::{
    cluster::hosts,
    page::{
        Page,
        access::{Names, Tokens},
    },
    server::listener::{self, ListenError},
};

/// Where the status page is, and who may see it.
#[derive(Clone, Debug, Args)]
pub struct PageArgs {
    /// Where the status page is; off when empty or "off". On the loopback address it is reached by
    /// `kubectl port-forward`.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8081", value_parser = address)]
    page_listen: Listen,
    /// Names by which the status page may be called, beside localhost and its addresses.
    #[arg(long, value_name = "NAME")]
    page_host: Vec<String>,
    /// Who may see the status page.
    #[arg(long, value_enum, default_value_t)]
    page_auth: Auth,
}

/// Who may see the page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Auth {
    /// On a loopback address whoever reaches it, else as with `token`.
    #[default]
    Auto,
    /// Who signs in with the token of a Kubernetes account that may list Domains.
    Token,
    /// Whoever reaches it.
    None,
}

/// Where the page is, if anywhere.
#[derive(Clone, Copy, Debug)]
struct Listen(Option<SocketAddr>);

fn address(text: &str) -> Result<Listen, String> {
    if matches!(text, "" | "off") {
        return Ok(Listen(None));
    }
    let wrong = |error| format!("{error}; give an address as in 127.0.0.1:8081, or off");
    text.parse().map(|address| Listen(Some(address))).map_err(wrong)
}

// === impl PageArgs ===

impl PageArgs {
    /// Serves the page from a task, if it is to be served.
    ///
    /// # Errors
    /// The address cannot be listened at.
    pub(super) async fn start(&self, client: &Client, tasks: &mut JoinSet<&'static str>) -> Result<(), ListenError> {
        let Some(address) = self.page_listen.0 else { return Ok(()) };
        let socket = listener::bind("--page-listen", address).await?;
        let (seen, follow) = hosts::follow(client.clone());
        let mut page = Page::new(seen).named(Names::new(self.page_host.iter().cloned()));
        if self.asks(address) {
            page = page.guarded(Tokens::new(client.clone()));
        } else if !address.ip().is_loopback() {
            tracing::warn!(%address, "the status page asks nobody who they are (--page-auth=none)");
        }
        tasks.spawn(async move { match follow.await {} });
        tasks.spawn(async move {
            let error = page.serve(socket).await.err();
            tracing::error!(?error, "the status page stopped");
            "the status page"
        });
        Ok(())
    }

    fn asks(&self, address: SocketAddr) -> bool {
        match self.page_auth {
            Auth::Token => true,
            Auth::None => false,
            Auth::Auto => !address.ip().is_loopback(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        page: PageArgs,
    }

    #[test]
    fn who_reaches_it_from_outside_is_asked_unless_told_otherwise() {
        for (args, asks) in [
            (&["--page-listen=127.0.0.1:1"][..], false),
            (&["--page-listen=[::1]:1"], false),
            (&["--page-listen=0.0.0.0:1"], true),
            (&["--page-listen=10.1.2.3:1"], true),
            (&["--page-listen=10.1.2.3:1", "--page-auth=none"], false),
            (&["--page-listen=127.0.0.1:1", "--page-auth=token"], true),
        ] {
            let cli = Cli::try_parse_from([&["certgate"], args].concat()).unwrap();
            assert_eq!(cli.page.asks(cli.page.page_listen.0.unwrap()), asks, "{args:?}");
        }
        for off in ["--page-listen=", "--page-listen=off"] {
            assert!(Cli::try_parse_from(["certgate", off]).unwrap().page.page_listen.0.is_none());
        }
        assert!(Cli::try_parse_from(["certgate", "--page-listen=everywhere"]).is_err());
    }
}
