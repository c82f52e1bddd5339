//! A trace as an SVG: one lane a modality with its thresholds, below them findings and alerts on the same axis.

use std::fmt::Write;

use super::trace::{Lane, Mark, Span, Trace};
use crate::data::Severity;

/// Where the axis begins and ends. Left of it: names and scales; right of it: the legend.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 1010.0;
/// The legend's width, if no name needs more.
const LEGEND: f64 = 190.0;
const TEXT: f64 = 12.0;
const TITLE: f64 = 16.0;
const LANE: f64 = 130.0;
const ROW: f64 = 16.0;
const GAP: f64 = 34.0;
const TOP: f64 = 48.0;
/// Lines told apart by people who see colours differently (Okabe & Ito, 2008).
const COLOURS: [&str; 7] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000",
];
/// A line in a lane must reach this part of the range to be drawn with a colour and a name.
const WORTH: f64 = 0.05;

/// `title` stands at the top.
pub fn svg(trace: &Trace, title: &str) -> String {
    let seconds = trace.seconds.max(0.1);
    let x = |s: f64| LEFT + s.clamp(0.0, seconds) / seconds * (RIGHT - LEFT);
    let mut body = String::new();
    let mut y = TOP;
    for lane in &trace.lanes {
        draw_lane(&mut body, lane, y, &x);
        y += LANE + GAP;
    }
    let (found, told) = (findings(&trace.findings), alerts(&trace.alerts));
    y = draw_rows(&mut body, "findings", &found, y, &x);
    let alerts_y = y;
    y = draw_rows(&mut body, "alerts", &told, y, &x);
    if !told.is_empty() {
        draw_severities(&mut body, alerts_y, &mut y);
    }
    draw_axis(&mut body, seconds, TOP, y, &x);
    let height = y + 40.0;
    // Names are the operator's, as long as they like; none is cut.
    let lines = trace.lanes.iter().flat_map(|lane| {
        let names = shown(lane).into_iter().take(COLOURS.len());
        names.map(|(label, _)| legend(lane, label))
    });
    let rows = found.iter().chain(&told).map(|row| row.0.to_owned());
    let legend = lines.chain(rows).map(|name| wide(&name, TEXT) + 20.0);
    let width = (RIGHT + legend.fold(LEGEND, f64::max)).max(LEFT + wide(title, TITLE) + 10.0);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height}\" viewBox=\"0 0 {width:.0} {height}\" \
         font-family=\"sans-serif\" font-size=\"{TEXT}\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"26\" font-size=\"{TITLE}\">{}</text>\n{body}</svg>\n",
        escaped(title)
    )
}

/// At most how wide words are: fonts differ, and the picture must have room for any.
fn wide(words: &str, size: f64) -> f64 {
    let ems = words.chars().map(|c| match c {
        'm' | 'w' | 'M' | 'W' | '@' | '%' => 1.0,
        c if c.is_ascii_lowercase() || c.is_ascii_digit() || c.is_ascii_punctuation() || c == ' ' => 0.64,
        _ if c.is_ascii() => 0.8,
        _ => 1.0,
    });
    size * ems.sum::<f64>()
}

/// What is drawn of a lane, the liveliest first: they get the colours.
fn shown(lane: &Lane) -> Vec<(&str, &[(f64, f64)])> {
    let (low, high) = lane.range;
    let reach = |points: &[(f64, f64)]| points.iter().map(|p| p.1).fold(low, f64::max);
    let series = lane.series.iter().map(|(label, points)| (label.as_str(), &points[..]));
    let mut series: Vec<_> = series
        .filter(|(_, points)| reach(points) > low + WORTH * (high - low))
        .collect();
    series.sort_by(|a, b| reach(b.1).total_cmp(&reach(a.1)));
    series
}

/// The name of a line, and from where on it counts.
fn legend(lane: &Lane, label: &str) -> String {
    let from = lane.thresholds.get(label);
    from.map_or_else(|| label.to_owned(), |v| format!("{label} (from {v:.2})"))
}

fn draw_lane(out: &mut String, lane: &Lane, top: f64, x: &impl Fn(f64) -> f64) {
    let (low, high) = lane.range;
    let y = |v: f64| top + LANE - (v.clamp(low, high) - low) / (high - low) * LANE;
    let (left, right) = (x(0.0), RIGHT);
    let _ = write!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{}\" height=\"{LANE}\" fill=\"#f7f7f7\"/>\n\
         <text x=\"8\" y=\"{}\" font-weight=\"bold\">{}</text>\n<text x=\"8\" y=\"{}\" fill=\"#666\">{}</text>\n",
        right - left,
        top + 14.0,
        escaped(&lane.name),
        top + 30.0,
        lane.unit
    );
    for v in [low, (low + high) / 2.0, high] {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#666\">{v}</text>\
             <line x1=\"{left}\" x2=\"{right}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#ddd\"/>",
            left - 6.0,
            y(v) + 4.0,
            y(v),
            y(v)
        );
    }
    let series = shown(lane);
    if series.is_empty() {
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" fill=\"#666\">nothing</text>",
            right + 10.0,
            top + 14.0
        );
    }
    for (i, (label, points)) in series.into_iter().enumerate() {
        let colour = COLOURS.get(i).copied().unwrap_or("#999999");
        let path: Vec<String> = points
            .iter()
            .map(|(s, v)| format!("{:.1},{:.1}", x(*s), y(*v)))
            .collect();
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"1.5\"/>",
            path.join(" ")
        );
        if let Some(v) = lane.thresholds.get(label) {
            let _ = writeln!(
                out,
                "<line x1=\"{left}\" x2=\"{right}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\" stroke-dasharray=\"6 4\"/>",
                y(*v),
                y(*v)
            );
        }
        if i < COLOURS.len() {
            let _ = writeln!(
                out,
                "<text x=\"{}\" y=\"{}\" fill=\"{colour}\">{}</text>",
                right + 10.0,
                top + 14.0 + ROW * i as f64,
                escaped(&legend(lane, label))
            );
        }
    }
}

/// One row a name: bars or ticks with a colour and a word to hover over.
type Row<'a> = (&'a str, Vec<(f64, f64, &'static str, String)>);

fn findings(marks: &[Mark]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row> = Vec::new();
    for mark in marks {
        let tick = (
            mark.at_s,
            mark.at_s,
            "#444444",
            format!("{:.2} at {:.1} s", mark.score, mark.at_s),
        );
        push(&mut rows, &mark.name, tick);
    }
    rows
}

fn alerts(spans: &[Span]) -> Vec<Row<'_>> {
    let mut rows: Vec<Row> = Vec::new();
    for span in spans {
        let words = format!(
            "{} {:.2} from {:.1} s ({})",
            span.severity, span.score, span.from_s, span.id
        );
        push(
            &mut rows,
            &span.name,
            (span.from_s, span.to_s, colour_of(span.severity), words),
        );
    }
    rows
}

fn colour_of(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "#56b4e9",
        Severity::Warning => "#e69f00",
        Severity::Critical => "#d00000",
    }
}

fn push<'a>(rows: &mut Vec<Row<'a>>, name: &'a str, bar: (f64, f64, &'static str, String)) {
    match rows.iter_mut().find(|r| r.0 == name) {
        Some(row) => row.1.push(bar),
        None => rows.push((name, vec![bar])),
    }
}

/// Returns where the next part may begin.
fn draw_rows(out: &mut String, name: &str, rows: &[Row], top: f64, x: &impl Fn(f64) -> f64) -> f64 {
    let _ = writeln!(
        out,
        "<text x=\"8\" y=\"{}\" font-weight=\"bold\">{name}</text>",
        top + 12.0
    );
    for (i, (label, bars)) in rows.iter().enumerate() {
        let y = top + ROW * i as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{}\" height=\"{}\" fill=\"#f7f7f7\"/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            RIGHT - LEFT,
            ROW - 2.0,
            RIGHT + 10.0,
            y + 11.0,
            escaped(label)
        );
        for (from, to, colour, words) in bars {
            let width = (x(*to) - x(*from)).max(2.0);
            let _ = writeln!(
                out,
                "<rect x=\"{:.1}\" y=\"{}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"><title>{}</title></rect>",
                x(*from),
                y + 1.0,
                ROW - 4.0,
                escaped(words)
            );
        }
    }
    if rows.is_empty() {
        let _ = writeln!(out, "<text x=\"{LEFT}\" y=\"{}\" fill=\"#666\">none</text>", top + 12.0);
    }
    top + ROW * rows.len().max(1) as f64 + 14.0
}

/// What the bars' colours mean, below their name; `y` is where the next part may begin.
fn draw_severities(out: &mut String, top: f64, y: &mut f64) {
    for (i, severity) in Severity::ALL.iter().enumerate() {
        let line = top + 12.0 + ROW * (1 + i) as f64;
        let colour = colour_of(*severity);
        let _ = writeln!(
            out,
            "<rect x=\"8\" y=\"{}\" width=\"9\" height=\"9\" fill=\"{colour}\"/>\
             <text x=\"22\" y=\"{line}\" fill=\"#666\">{severity}</text>",
            line - 9.0
        );
        *y = y.max(line + 10.0);
    }
}

/// Seconds at round steps, over the whole height.
fn draw_axis(out: &mut String, seconds: f64, top: f64, bottom: f64, x: &impl Fn(f64) -> f64) {
    let steps = [
        0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0,
    ];
    let step = steps
        .into_iter()
        .find(|s| seconds / s <= 16.0)
        .unwrap_or(seconds / 10.0);
    for i in 0..=(seconds / step) as usize {
        let s = step * i as f64;
        let _ = writeln!(
            out,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{top}\" y2=\"{bottom}\" stroke=\"#000\" stroke-opacity=\"0.12\"/>\
             <text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\" fill=\"#666\">{s} s</text>",
            x(s),
            x(s),
            x(s),
            bottom + 16.0
        );
    }
}

/// Names come from configurations and models.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_over_its_threshold_stands_above_the_dashed_line_and_names_are_escaped() {
        let mut lane = Lane {
            name: "audio".into(),
            range: (0.0, 1.0),
            unit: "score",
            ..Lane::default()
        };
        lane.series.insert("<siren>".into(), vec![(0.0, 0.0), (5.0, 0.9)]);
        lane.series.insert("never".into(), vec![(0.0, 0.01)]);
        lane.thresholds.insert("<siren>".into(), 0.5);
        let trace = Trace {
            lanes: vec![lane],
            seconds: 10.0,
            alerts: vec![Span {
                id: "01J".into(),
                name: "siren".into(),
                severity: Severity::Warning,
                score: 0.9,
                from_s: 5.0,
                to_s: f64::INFINITY,
            }],
            ..Trace::default()
        };
        let text = svg(&trace, "a & b");
        assert!(text.contains("a &amp; b") && text.contains("&lt;siren&gt; (from 0.50)"));
        let numbers = text.replace(">info<", "");
        assert!(!text.contains("never") && !text.contains("NaN") && !numbers.contains("inf"));
        // 0.9 of the lane's 130 from its bottom at 178; the threshold at its middle.
        assert!(text.contains("560.0,61.0"), "{text}");
        assert!(
            text.contains("y1=\"113.0\" y2=\"113.0\" stroke=\"#0072b2\" stroke-dasharray"),
            "{text}"
        );
    }

    #[test]
    fn a_long_name_widens_the_picture_and_the_colours_of_alerts_are_told() {
        let span = |name: &str| Trace {
            alerts: vec![Span {
                id: "01J".into(),
                name: name.into(),
                severity: Severity::Info,
                score: 0.9,
                from_s: 1.0,
                to_s: 2.0,
            }],
            seconds: 10.0,
            ..Trace::default()
        };
        let width = |text: &str| {
            let (_, rest) = text.split_once("width=\"").unwrap();
            rest.split_once('"').unwrap().0.parse::<f64>().unwrap()
        };
        let short = svg(&span("siren"), "");
        assert_eq!(width(&short), 1200.0);
        for word in ["info", "warning", "critical"] {
            assert!(short.contains(&format!(">{word}</text>")), "{short}");
        }
        let name = format!("intrusion {}", "w".repeat(64));
        let long = svg(&span(&name), "");
        assert!(width(&long) > 1020.0 + 64.0 * 11.0, "{}", width(&long));
        // The axis stays where it is.
        assert!(
            long.contains("<rect x=\"200.0\"") && short.contains("<rect x=\"200.0\""),
            "{long}"
        );
        let mut lane = Lane {
            range: (0.0, 1.0),
            ..Lane::default()
        };
        lane.series.insert("x".repeat(60), vec![(0.0, 0.9)]);
        let lanes = Trace {
            lanes: vec![lane],
            ..Trace::default()
        };
        assert!(width(&svg(&lanes, "")) > 1400.0);
        assert!(width(&svg(&Trace::default(), &"a/folder".repeat(20))) > 1500.0);
    }

    #[test]
    fn nothing_at_all_is_still_a_picture() {
        let text = svg(&Trace::default(), "");
        assert!(text.starts_with("<svg") && text.ends_with("</svg>\n") && !text.contains("NaN"));
    }
}
