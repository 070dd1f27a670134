//! The words of `definition`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Actor, File, Once};

#[derive(Debug, Subcommand)]
pub(crate) enum DefinitionCommand {
    /// Check a definition and store it. A stored version never changes.
    Apply(Apply),
    /// Check a definition without storing it. Exits with 1 where it has errors.
    Check(File),
    /// List the newest version of each definition.
    #[command(visible_alias = "ls")]
    List,
    /// Show a stored definition as YAML.
    Get {
        /// `place-order`, or `place-order@3` for a version.
        name: String,
    },
    /// Play the scenarios beside definitions, without a server and without services. Exits with 1
    /// where what follows is not as expected.
    ///
    /// `place-order.test.yaml` says for each scenario an input, what calls answer, and what must
    /// follow; the engine's own core plays it, in its own time. docs/definitions.md has the keys.
    Test(Rehearse),
    /// Find everything that sagas of definitions may come to, without a server. Exits with 1 where
    /// there is too much to find all of it.
    ///
    /// The engine's own core is driven through every outcome of every call, a cancel and the
    /// deadline at every point, and participants that take no call. For each ending it says what
    /// stands at which participant, and the shortest way to each that is neither all nor nothing.
    Prove(Prove),
    /// Draw a definition: its steps, what they wait for, what they call and how they are undone.
    Graph(Graph),
    /// Say what changes for new sagas from one definition to another, whatever changed in how it is
    /// written. Exits with 1 where something does.
    ///
    /// Defaults are compared as what they stand for. Sagas that run keep the version that they
    /// were started with.
    Diff(Diff),
    /// Write the JSON Schema of definitions, for editors that complete and mark.
    ///
    /// A definition that begins with `# yaml-language-server: $schema=FILE` is read by it there.
    Schema,
}

#[derive(Debug, Args)]
pub(crate) struct Apply {
    #[command(flatten)]
    pub(crate) file: File,
    /// Why, for those who look at it later.
    #[arg(long, default_value = "", hide_default_value = true)]
    pub(crate) reason: String,
    #[command(flatten)]
    pub(crate) once: Once,
    #[command(flatten)]
    pub(crate) actor: Actor,
    /// Store it only where it carries a certificate of `definition prove` that is its own.
    #[arg(long)]
    pub(crate) require_proof: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Graph {
    /// A definition.
    pub(crate) file: PathBuf,
    /// Text for a terminal, or a picture.
    #[arg(long, value_enum, default_value_t = GraphFormat::Text)]
    pub(crate) format: GraphFormat,
    /// Where the participants' types are [default: as the scenarios beside it say].
    #[arg(long, value_name = "PATH")]
    pub(crate) types: Vec<PathBuf>,
}

/// How a definition is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraphFormat {
    Text,
    Svg,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    /// The definition that sagas run by now.
    pub(crate) old: PathBuf,
    /// The one that new sagas shall run by.
    pub(crate) new: PathBuf,
    /// Where the participants' types are [default: as the scenarios beside a definition say].
    #[arg(long, value_name = "PATH")]
    pub(crate) types: Vec<PathBuf>,
    /// Where those of the old one are, where they are others.
    #[arg(long, value_name = "PATH")]
    pub(crate) old_types: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Prove {
    /// Definitions.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where the participants' types are: a folder of `.proto` files, a single one, or a
    /// descriptor set [default: as the scenarios beside a definition say].
    #[arg(long, value_name = "PATH")]
    pub(crate) types: Vec<PathBuf>,
    /// Write the certificate into each definition, in place of the one that it has: a comment that
    /// `apply --require-proof` reads.
    #[arg(long)]
    pub(crate) certify: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rehearse {
    /// Files of scenarios, `NAME.test.yaml`; or definitions that have one beside them.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// Where the participants' types are, instead of what the files say: a folder of `.proto`
    /// files, a single one, or a descriptor set.
    #[arg(long, value_name = "PATH")]
    pub(crate) types: Vec<PathBuf>,
    /// Name what no scenario goes through: steps that are never undone, endings.
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Write the results as JUnit XML to this file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
}
