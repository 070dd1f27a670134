//! Orchestrators by name.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum ContextCommand {
    /// Keep an orchestrator under a name, as the flags --address, --ca, --certificate,
    /// --certificate-key, --server-name and --token-file or --token-command say.
    ///
    /// They are kept in a file of yours, ~/.config/sagactl/contexts.json, which names files and
    /// holds no secret. The first context is the one in use.
    Add {
        /// What it is called here.
        #[arg(value_parser = name)]
        name: String,
    },
    /// List them.
    #[command(visible_alias = "ls")]
    List,
    /// Use one where nothing else is said.
    Use {
        /// Which one.
        name: String,
    },
    /// Forget one. Its files stay.
    #[command(visible_alias = "rm")]
    Remove {
        /// Which one.
        name: String,
    },
}

fn name(text: &str) -> Result<String, String> {
    let is_name = |it: char| it.is_ascii_alphanumeric() || "-_.".contains(it);
    if text.is_empty() || !text.chars().all(is_name) {
        return Err("a name has letters, digits, `-`, `_` and `.`".to_owned());
    }
    Ok(text.to_owned())
}
