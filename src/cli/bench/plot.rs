//! Lines over a logarithmic axis, drawn as SVG. Pure.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

use super::figures::shown;

/// A plot: what stands on its axes, and its lines.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Plot {
    /// Its file's name without `.svg`.
    pub(super) name: String,
    pub(super) title: String,
    pub(super) across: String,
    pub(super) up: String,
    pub(super) lines: Vec<Line>,
}

/// A line of a plot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Line {
    pub(super) name: String,
    /// Each (across, up); across above 0 and in ascending order.
    pub(super) points: Vec<(f64, f64)>,
}

/// Differ in lightness too.
const COLOURS: [&str; 4] = ["#1b4f9c", "#c8553d", "#1b7f4b", "#8a6d1d"];
const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 360.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;
/// How many lines the grid has above the axis.
const STEPS: u32 = 4;

impl Plot {
    /// The drawing.
    pub(super) fn svg(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let least = points().map(|(across, _)| *across).fold(f64::INFINITY, f64::min).max(f64::MIN_POSITIVE);
        let most = points().map(|(across, _)| *across).fold(least, f64::max);
        let top = ceiling(points().map(|(_, up)| *up).fold(0.0, f64::max));
        let span = (most / least).ln();
        let x = |across: f64| {
            let part = if span > 0.0 { (across / least).ln() / span } else { 0.5 };
            LEFT + part * (WIDTH - LEFT - RIGHT)
        };
        let y = |up: f64| HEIGHT - BOTTOM - up / top * (HEIGHT - TOP - BOTTOM);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{HEIGHT}\" font-family=\"sans-serif\" \
             font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, LEFT, 18.0, "start", &self.title);
        text(&mut svg, WIDTH / 2.0, HEIGHT - 12.0, "middle", &self.across);
        text(&mut svg, LEFT, 38.0, "start", &self.up);
        for step in 0..=STEPS {
            let up = top * f64::from(step) / f64::from(STEPS);
            let height = y(up);
            add(&mut svg, &format!("<path d=\"M{LEFT} {height:.1}H{}\" stroke=\"#d9dde3\"/>", WIDTH - RIGHT));
            text(&mut svg, LEFT - 8.0, height + 4.0, "end", &shown(up));
        }
        let mut marks: Vec<f64> = points().map(|(across, _)| *across).collect();
        marks.sort_by(f64::total_cmp);
        marks.dedup();
        for mark in marks {
            text(&mut svg, x(mark), HEIGHT - BOTTOM + 18.0, "middle", &shown(mark));
        }
        for (at, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let path: Vec<_> =
                line.points.iter().map(|(across, up)| format!("{:.1},{:.1}", x(*across), y(*up))).collect();
            add(
                &mut svg,
                &format!(
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                    path.join(" ")
                ),
            );
            for (across, up) in &line.points {
                let place = format!("cx=\"{:.1}\" cy=\"{:.1}\"", x(*across), y(*up));
                add(
                    &mut svg,
                    &format!("<circle {place} r=\"3\" fill=\"{colour}\"><title>{}</title></circle>", shown(*up)),
                );
            }
            let right = WIDTH - RIGHT;
            let height = 18.0 + 16.0 * at as f64;
            add(
                &mut svg,
                &format!(
                    "<rect x=\"{}\" y=\"{}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>",
                    right - 10.0,
                    height - 9.0
                ),
            );
            text(&mut svg, right - 16.0, height, "end", &line.name);
        }
        svg.push_str("</svg>\n");
        svg
    }
}

/// A round number that is no less, and above 0.
fn ceiling(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10_f64.powf(most.log10().floor());
    [1.0, 2.0, 4.0, 8.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|round| *round >= most)
        .unwrap_or(10.0 * power)
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    add(svg, &format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"));
}

fn add(svg: &mut String, line: &str) {
    // Writing into a text can't fail.
    _ = writeln!(svg, "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_goes_from_left_to_right_and_as_high_as_its_values() {
        let line = Line { name: "a & b".into(), points: vec![(10.0, 0.0), (100.0, 50.0), (1_000.0, 80.0)] };
        let plot =
            Plot { name: "p".into(), title: "x < y".into(), across: "n".into(), up: "ns".into(), lines: vec![line] };
        let svg = plot.svg();
        assert!(svg.contains("<polyline points=\"70.0,300.0 345.0,143.8 620.0,50.0\""), "{svg}");
        assert!(svg.contains("x &lt; y") && svg.contains("a &amp; b") && svg.ends_with("</svg>\n"));
    }

    #[test]
    fn nothing_and_a_single_point_are_drawn_too() {
        let mut plot =
            Plot { name: "p".into(), title: String::new(), across: String::new(), up: String::new(), lines: vec![] };
        assert!(plot.svg().ends_with("</svg>\n"));
        plot.lines.push(Line { name: String::new(), points: vec![(5.0, 5.0)] });
        assert!(!plot.svg().contains("NaN"));
    }
}
