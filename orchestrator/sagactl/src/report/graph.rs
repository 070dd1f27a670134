//! A definition as a picture: as text, and as SVG.

use std::fmt::Write as _;

use saga_core::{Direction, OnUnknown, StepIndex, StepKind};
use saga_definition::CompiledDefinition;

use crate::look::Look;

/// Size of a step, and the room between two, in pixels.
const WIDTH: usize = 260;
const HEIGHT: usize = 66;
const GAP_X: usize = 40;
const GAP_Y: usize = 44;

/// Characters of a line in a step of the picture.
const LINE_CHARS_MAX: usize = 38;

/// How deep each step stands: behind everything that it waits for.
fn ranks(definition: &CompiledDefinition) -> Vec<usize> {
    let core = &definition.core;
    let mut ranks = vec![0; core.steps.len()];
    // A step may stand before one that it waits for in the file.
    for _ in 0..ranks.len() {
        for index in core.indices() {
            let after = core.step(index).after.iter().map(|it| ranks[it.at()] + 1).max();
            ranks[index.at()] = after.unwrap_or(0);
        }
    }
    ranks
}

/// What a step does: `payment Charge`, `waits for approval`.
fn does(definition: &CompiledDefinition, step: StepIndex) -> String {
    match definition.core.step(step).kind {
        StepKind::Given => "the client brought it along".to_owned(),
        StepKind::Wait { .. } => {
            let signal = definition.signals().find(|it| it.step == step);
            format!("waits for {}", signal.map_or("", |it| it.name))
        }
        StepKind::Call => called(definition, step, Direction::Forward).unwrap_or_default(),
    }
}

fn called(
    definition: &CompiledDefinition,
    step: StepIndex,
    direction: Direction,
) -> Option<String> {
    let spec = definition.call(step, direction)?;
    let method = spec.path.path().rsplit('/').next().unwrap_or_default();
    Some(format!("{} {method}", spec.participant))
}

/// How a step is undone, where it can be.
fn undone(definition: &CompiledDefinition, step: StepIndex) -> Option<String> {
    let undo = called(definition, step, Direction::Backward)?;
    let condition = definition.core.step(step).compensation_conditional;
    Some(format!("undo: {undo}{}", if condition { ", on a condition" } else { "" }))
}

/// What is worth a mark: that a step is the pivot, may be skipped, and how its doubts are settled.
fn marks(definition: &CompiledDefinition, step: StepIndex) -> Vec<&'static str> {
    let step = definition.core.step(step);
    let doubt = match step.on_unknown {
        OnUnknown::Resolve => None,
        OnUnknown::Retry => Some("on_unknown: retry"),
        OnUnknown::FinishThenUndo => Some("on_unknown: finish_then_undo"),
        OnUnknown::Park => Some("on_unknown: park"),
    };
    let marks = [
        step.pivot.then_some("pivot"),
        step.conditional.then_some("on a condition"),
        doubt.filter(|_| step.kind == StepKind::Call),
    ];
    marks.into_iter().flatten().collect()
}

/// As text: a step each, behind the steps that it waits for.
pub(crate) fn text(definition: &CompiledDefinition, look: &Look) -> String {
    let core = &definition.core;
    let mut text = String::new();
    let title = format!("{}@{}", core.name, core.version);
    let _ = writeln!(text, "{}  input {}", look.heading(&title), definition.input_type());
    let ranks = ranks(definition);
    let mut order: Vec<StepIndex> = core.indices().collect();
    order.sort_by_key(|it| ranks[it.at()]);
    for index in order {
        let step = core.step(index);
        let indent = "  ".repeat(ranks[index.at()] + 1);
        let marks = marks(definition, index);
        let marks =
            if marks.is_empty() { String::new() } else { format!("  [{}]", marks.join("; ")) };
        let _ = writeln!(text, "{indent}{}: {}{marks}", step.name, does(definition, index));
        let after: Vec<&str> = step.after.iter().map(|it| core.step(it).name.as_str()).collect();
        if 1 < after.len() {
            let _ = writeln!(text, "{indent}    after {}", after.join(" and "));
        }
        if let Some(undo) = undone(definition, index) {
            let _ = writeln!(text, "{indent}    {undo}");
        }
    }
    text
}

/// Where a step stands in the picture.
struct Place {
    x: usize,
    y: usize,
}

/// As SVG: a row for each depth, and a line to each step that is waited for. It needs nothing
/// from anywhere, and is the same each time.
pub(crate) fn svg(definition: &CompiledDefinition) -> String {
    let core = &definition.core;
    let ranks = ranks(definition);
    let rows = ranks.iter().max().map_or(0, |it| it + 1);
    let in_row = |row: usize| ranks.iter().filter(|it| **it == row).count();
    let widest = (0..rows).map(in_row).max().unwrap_or(0);
    let width = GAP_X + widest * (WIDTH + GAP_X);
    let height = GAP_Y + rows * (HEIGHT + GAP_Y);
    let mut taken = vec![0; rows];
    let places: Vec<Place> = ranks
        .iter()
        .map(|row| {
            let row_width = in_row(*row) * (WIDTH + GAP_X) - GAP_X;
            let x = (width - row_width) / 2 + taken[*row] * (WIDTH + GAP_X);
            taken[*row] += 1;
            Place { x, y: GAP_Y + row * (HEIGHT + GAP_Y) }
        })
        .collect();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 \
         {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>{}@{}</title>\n\
         <defs><marker id=\"to\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"8\" \
         markerHeight=\"8\" orient=\"auto\"><path d=\"M0 0L8 4L0 8z\"/></marker></defs>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
        core.name, core.version
    );
    for index in core.indices() {
        for before in core.step(index).after.iter() {
            let (from, to) = (&places[before.at()], &places[index.at()]);
            let (x1, y1, x2) = (from.x + WIDTH / 2, from.y + HEIGHT, to.x + WIDTH / 2);
            let _ = writeln!(
                svg,
                "<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{}\" stroke=\"#444\" \
                 marker-end=\"url(#to)\"/>",
                to.y
            );
        }
    }
    for index in core.indices() {
        draw(definition, index, &places[index.at()], &mut svg);
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(definition: &CompiledDefinition, index: StepIndex, place: &Place, svg: &mut String) {
    let step = definition.core.step(index);
    let Place { x, y } = place;
    let (fill, stroke) = match (step.pivot, step.kind) {
        (true, _) => ("#fff3cd", "2.5"),
        (false, StepKind::Wait { .. }) => ("#e7f1ff", "1"),
        (false, StepKind::Given) => ("#eeeeee", "1"),
        (false, StepKind::Call) => ("#ffffff", "1"),
    };
    let dash = if step.conditional { " stroke-dasharray=\"5 3\"" } else { "" };
    let _ = writeln!(
        svg,
        "<rect x=\"{x}\" y=\"{y}\" width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"{fill}\" \
         stroke=\"#444\" stroke-width=\"{stroke}\"{dash}/>"
    );
    let marks = marks(definition, index);
    let marks = if marks.is_empty() { String::new() } else { format!(" ({})", marks.join(", ")) };
    let lines = [
        (format!("{}{marks}", step.name), " font-weight=\"bold\""),
        (does(definition, index), ""),
        (undone(definition, index).unwrap_or_default(), " fill=\"#666\""),
    ];
    for (at, (line, style)) in lines.iter().enumerate() {
        let (x, y) = (x + 10, y + 20 + 18 * at);
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\"{style}>{}</text>", short(line));
    }
}

/// A line that fits into a step, as XML holds it. Names are of letters that XML takes as they are.
fn short(line: &str) -> String {
    let cut: String = line.chars().take(LINE_CHARS_MAX).collect();
    let dots = if cut.len() < line.len() { "…" } else { "" };
    let safe = |c: char| c.is_ascii_alphanumeric() || " _-.:,()".contains(c);
    cut.chars().map(|c| if safe(c) { c } else { '?' }).collect::<String>() + dots
}
