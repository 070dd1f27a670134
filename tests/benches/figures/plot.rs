//! The plot of a figure: for each leading metric a panel of bars, grouped by load, with the
//! smallest and the largest sample as a whisker.

use std::path::Path;

use plotters::{
    chart::ChartBuilder,
    drawing::{DrawingArea, IntoDrawingArea},
    element::{PathElement, Rectangle, Text},
    prelude::SVGBackend,
    style::{
        BLACK, Color, IntoFont, RGBColor, WHITE,
        text_anchor::{HPos, Pos, VPos},
    },
};

use super::report::{Figure, number};

const WIDTH: u32 = 1_100;
const PANEL_HEIGHT: u32 = 320;
const LEGEND_HEIGHT: u32 = 56;

/// Colours that differ for most eyes, one for each subject.
const COLOURS: [RGBColor; 8] = [
    RGBColor(0x9a, 0xa0, 0xa6),
    RGBColor(0x33, 0x66, 0xaa),
    RGBColor(0xee, 0x86, 0x2e),
    RGBColor(0x22, 0x88, 0x66),
    RGBColor(0xaa, 0x33, 0x77),
    RGBColor(0x66, 0xcc, 0xee),
    RGBColor(0xcc, 0xbb, 0x44),
    RGBColor(0x44, 0x44, 0x44),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, plotters::coord::Shift>;

/// Where the bars stand.
struct Layout<'f> {
    groups: Vec<&'f str>,
    subjects: Vec<&'f str>,
}

impl Layout<'_> {
    /// Left and right edge of a bar; each group is 1 wide.
    fn edges(&self, group: &str, subject: &str) -> (f64, f64) {
        let place = |all: &[&str], one| all.iter().position(|it| *it == one).unwrap() as f64;
        let width = 0.84 / self.subjects.len() as f64;
        let left = place(&self.groups, group) + 0.08 + place(&self.subjects, subject) * width;
        (left, left + width * 0.92)
    }

    fn colour(&self, subject: &str) -> RGBColor {
        COLOURS[self.subjects.iter().position(|it| *it == subject).unwrap() % COLOURS.len()]
    }
}

/// Draws a figure into a file.
pub(crate) fn draw(figure: &Figure, file: &Path) {
    let mut layout = Layout { groups: Vec::new(), subjects: Vec::new() };
    for row in &figure.rows {
        if !layout.groups.contains(&row.group.as_str()) {
            layout.groups.push(&row.group);
        }
        if !layout.subjects.contains(&row.subject.as_str()) {
            layout.subjects.push(&row.subject);
        }
    }
    let leading = figure.metrics.iter().enumerate().filter(|(_, metric)| metric.leads);
    let leading: Vec<usize> = leading.map(|(place, _)| place).collect();
    let panels = u32::try_from(leading.len()).unwrap();
    let size = (WIDTH, LEGEND_HEIGHT + panels * PANEL_HEIGHT);
    let area = SVGBackend::new(file, size).into_drawing_area();
    area.fill(&WHITE).unwrap();
    let (top, rest) = area.split_vertically(LEGEND_HEIGHT);
    draw_legend(&top, figure, &layout);
    for (panel, metric) in rest.split_evenly((leading.len(), 1)).iter().zip(leading) {
        draw_panel(panel, figure, &layout, metric);
    }
    area.present().unwrap();
}

fn draw_legend(area: &Area<'_>, figure: &Figure, layout: &Layout<'_>) {
    let font = ("sans-serif", 20).into_font().color(&BLACK);
    area.draw(&Text::new(figure.title, (12, 6), font)).unwrap();
    let mut x = 14;
    for subject in &layout.subjects {
        let swatch = [(x, 34), (x + 12, 46)];
        area.draw(&Rectangle::new(swatch, layout.colour(subject).filled())).unwrap();
        let font = ("sans-serif", 16).into_font().color(&BLACK);
        area.draw(&Text::new((*subject).to_owned(), (x + 17, 33), font)).unwrap();
        x += 36 + 8 * i32::try_from(subject.chars().count()).unwrap();
    }
}

fn draw_panel(area: &Area<'_>, figure: &Figure, layout: &Layout<'_>, metric: usize) {
    let highest = figure.rows.iter().map(|row| row.max(metric)).fold(0.0, f64::max);
    let top = if highest <= 0.0 { 1.0 } else { highest * 1.12 };
    let mut chart = ChartBuilder::on(area)
        .margin(8)
        .margin_right(16)
        .x_label_area_size(26)
        .y_label_area_size(84)
        .build_cartesian_2d(0.0..layout.groups.len() as f64, 0.0..top)
        .unwrap();
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_labels(0)
        .y_labels(6)
        .y_label_formatter(&|value| number(*value))
        .y_desc(figure.metrics[metric].name)
        .max_light_lines(0)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 15))
        .draw()
        .unwrap();
    for row in &figure.rows {
        let (left, right) = layout.edges(&row.group, &row.subject);
        let (median, middle) = (row.median(metric), f64::midpoint(left, right));
        let bar =
            Rectangle::new([(left, 0.0), (right, median)], layout.colour(&row.subject).filled());
        chart.draw_series([bar]).unwrap();
        let whisker = vec![(middle, row.min(metric)), (middle, row.max(metric))];
        chart.draw_series([PathElement::new(whisker, BLACK)]).unwrap();
        let centred = Pos::new(HPos::Center, VPos::Bottom);
        let font = ("sans-serif", 12).into_font().color(&BLACK).pos(centred);
        let label = Text::new(number(median), (middle, row.max(metric)), font);
        chart.draw_series([label]).unwrap();
    }
    for (place, group) in layout.groups.iter().enumerate() {
        let centred = Pos::new(HPos::Center, VPos::Top);
        let font = ("sans-serif", 15).into_font().color(&BLACK).pos(centred);
        let (x, y) = chart.backend_coord(&(place as f64 + 0.5, 0.0));
        let (left, above) = area.get_base_pixel();
        let at = (x - left, y - above + 7);
        area.draw(&Text::new((*group).to_owned(), at, font)).unwrap();
    }
}
