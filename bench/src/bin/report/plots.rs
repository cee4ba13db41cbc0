//! SVG plots of the axes.

use std::path::Path;

use anyhow::{Result, anyhow};
use bench::record::Record;
use plotters::prelude::*;

/// What a plot shows.
struct Plot {
    file: &'static str,
    title: &'static str,
    /// Tables whose rows are its lines, and what their names are preceded by.
    tables: &'static [(&'static str, &'static str)],
    unit: &'static str,
    across: &'static str,
}

const PLOTS: [Plot; 6] = [
    Plot {
        file: "flows.svg",
        title: "One worker, 64-byte frames: ticks per packet",
        tables: &[("flows", ""), ("flows, Zipf", "Zipf, ")],
        unit: "ticks per packet",
        across: "flows",
    },
    Plot {
        file: "services.svg",
        title: "What each service costs",
        tables: &[("service", "")],
        unit: "ticks per packet",
        across: "service",
    },
    Plot {
        file: "new-flows.svg",
        title: "Every packet opens a session",
        tables: &[("new flows", "")],
        unit: "ticks per session",
        across: "rules",
    },
    Plot {
        file: "fib.svg",
        title: "Longest matches",
        tables: &[("fib lookups", "")],
        unit: "million a second",
        across: "routes",
    },
    Plot {
        file: "latency.svg",
        title: "Latency at the base point, one worker",
        tables: &[("latency", "")],
        unit: "microseconds",
        across: "percentile",
    },
    Plot {
        file: "peers.svg",
        title: "Side by side, source and sink included",
        tables: &[("peers", "")],
        unit: "ticks per packet",
        across: "flows",
    },
];

/// Draws those of which something was measured.
///
/// # Errors
/// A file cannot be written.
pub(crate) fn draw(directory: &Path, records: &[Record]) -> Result<()> {
    for plot in &PLOTS {
        let lines = lines(plot, records);
        if !lines.is_empty() {
            // Errors of the library name types of the backend, which do not matter here.
            paint(plot, &directory.join(plot.file), &lines)
                .map_err(|error| anyhow!("{}: {error}", plot.file))?;
        }
    }
    Ok(())
}

/// A name, and its points across.
type Line<'a> = (String, Vec<(&'a str, f64)>);

fn lines<'a>(plot: &Plot, records: &'a [Record]) -> Vec<Line<'a>> {
    let mut lines: Vec<Line<'a>> = Vec::new();
    for (table, prefix) in plot.tables {
        for record in records.iter().filter(|record| record.table == *table && !record.runs.is_empty()) {
            let name = format!("{prefix}{}", record.row);
            let at = lines.iter().position(|(line, _)| *line == name).unwrap_or_else(|| {
                lines.push((name, Vec::new()));
                lines.len() - 1
            });
            lines[at].1.push((&record.at, record.median()));
        }
    }
    lines
}

fn paint(plot: &Plot, path: &Path, lines: &[Line<'_>]) -> Result<(), Box<dyn std::error::Error>> {
    let mut across: Vec<&str> = Vec::new();
    for (at, _) in lines.iter().flat_map(|(_, points)| points) {
        if !across.contains(at) {
            across.push(at);
        }
    }
    let highest = lines.iter().flat_map(|(_, points)| points).map(|(_, value)| *value).fold(0.0, f64::max);
    let area = SVGBackend::new(path, (900, 460)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(plot.title, ("sans-serif", 20))
        .margin(12)
        .x_label_area_size(40)
        .y_label_area_size(60)
        .build_cartesian_2d(-0.3..across.len() as f64 - 0.7, 0.0..highest * 1.15)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .x_desc(plot.across)
        .y_desc(plot.unit)
        .x_labels(across.len() * 2)
        .x_label_formatter(&|at| {
            let place = at.round();
            let name = across.get(place as usize).filter(|_| (at - place).abs() < 1e-6 && place >= 0.0);
            name.map(ToString::to_string).unwrap_or_default()
        })
        .draw()?;
    for (number, (name, points)) in lines.iter().enumerate() {
        let color = Palette99::pick(number).to_rgba();
        let place = |at: &str| across.iter().position(|known| *known == at).unwrap_or_default() as f64;
        let points: Vec<_> = points.iter().map(|(at, value)| (place(at), *value)).collect();
        chart
            .draw_series(LineSeries::new(points.clone(), color.stroke_width(2)))?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color.stroke_width(3)));
        chart.draw_series(points.iter().map(|point| Circle::new(*point, 3, color.filled())))?;
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(WHITE.mix(0.8))
        .border_style(BLACK.mix(0.3))
        .draw()?;
    area.present()?;
    Ok(())
}
