//! What was found, drawn into a picture.

use std::sync::Arc;

use crate::behaviour::{BehaviourOptions, Line};
use crate::colour::{self, BLACK, Rgb};
use crate::data::{Alert, BBox, Picture, Point};
use crate::draw::{self, Labels, Rect};
use crate::stages::Verdict;

/// A face is drawn on frames this close to the one that it was read in; in others it is elsewhere.
const NEAR_NS: u64 = 200_000_000;

/// Bars shorter than this hide more than they tell.
const LEAST: f32 = 0.1;
/// Dots of a bar of 1, and letters of the word before it.
const BAR_DOTS: i64 = 60;
const BAR_LETTERS: usize = 14;

/// `open`: the alerts that are open in this window.
pub(super) fn paint(
    picture: &mut Picture,
    behaviour: &BehaviourOptions,
    verdict: &Verdict,
    open: &[Alert],
    pts_ns: u64,
) {
    places(picture, behaviour);
    let boxes = boxes(verdict, open, pts_ns);
    for shown in &boxes {
        draw::outline(picture, shown.bbox, shown.colour);
    }
    let mut labels = Labels::new(picture);
    labels.heading(&headings(open), colour::WHITE);
    let heard = verdict.heard().and_then(|h| Some((h.labels.iter(), h.patches.last()?)));
    let sounds = heard.map(|(labels, patch)| labels.cloned().zip(patch.scores.iter().copied()));
    let right = gauges(picture, &mut labels, 0, sounds.into_iter().flatten());
    gauges(picture, &mut labels, right, senses(verdict).into_iter());
    for shown in &boxes {
        labels.avoid(shown.bbox);
    }
    for shown in &boxes {
        labels.beside(shown.bbox, shown.colour, shown.paper, &shown.forms);
    }
    names(picture, behaviour, &mut labels);
    labels.write(picture);
}

fn places(picture: &mut Picture, behaviour: &BehaviourOptions) {
    for zone in &behaviour.zones {
        draw::polygon(picture, &zone.polygon, colour::ZONE);
        if let Some((from, to)) = zone.way {
            draw::arrow(picture, from, to, colour::ZONE);
        }
    }
    for line in &behaviour.lines {
        draw::line(picture, line.from, line.to, colour::LINE);
    }
}

fn names(picture: &Picture, behaviour: &BehaviourOptions, labels: &mut Labels) {
    for zone in &behaviour.zones {
        labels.name(&zone.polygon, colour::ZONE, &zone.name);
    }
    for line in &behaviour.lines {
        // Alerts tell from which side to which: left and right as seen from its beginning.
        for (word, side) in [("L", -1.0), ("R", 1.0)] {
            if let Some(at) = beside(picture, line, side) {
                labels.name(&[at], colour::LINE, word);
            }
        }
        labels.name(&[line.from, line.to], colour::LINE, &line.name);
    }
}

/// A point beside a quarter of the line, so far from it that a letter there does not touch it; `side`: 1 is right, -1 left.
/// None: it is outside the picture.
fn beside(picture: &Picture, line: &Line, side: f32) -> Option<Point> {
    let (w, h) = (picture.width as f32, picture.height as f32);
    let (dx, dy) = ((line.to.x - line.from.x) * w, (line.to.y - line.from.y) * h);
    let far = 20.0 * draw::dot_px(picture) as f32 / dx.hypot(dy).max(1.0);
    let at = Point {
        x: line.from.x + (dx / 4.0 - side * far * dy) / w,
        y: line.from.y + (dy / 4.0 + side * far * dx) / h,
    };
    ((0.0..=1.0).contains(&at.x) && (0.0..=1.0).contains(&at.y)).then_some(at)
}

struct Shown<'a> {
    bbox: &'a BBox,
    colour: Rgb,
    paper: Rgb,
    /// What is written at it, the longest first.
    forms: Vec<String>,
}

/// Tracks, what a rule found that no track follows, and faces.
fn boxes<'a>(verdict: &'a Verdict, open: &'a [Alert], pts_ns: u64) -> Vec<Shown<'a>> {
    let seen = verdict.seen();
    let newest = seen.and_then(|s| s.frames.iter().rev().find(|f| f.pts_ns <= pts_ns));
    let tracks = newest.into_iter().flat_map(|f| &f.tracks).map(|track| Shown {
        bbox: &track.bbox,
        colour: colour::of_track(track.id),
        paper: paper_of(track.id, open),
        forms: vec![
            format!("{} {} {:.2}", track.class, track.id, track.score),
            format!("{} {}", track.class, track.id),
            track.id.to_string(),
        ],
    });
    let things = open.iter().flat_map(|a| &a.tracks).filter(|t| t.id == 0);
    let things = things.map(|thing| Shown {
        bbox: &thing.bbox,
        colour: colour::ALERT,
        paper: BLACK,
        forms: vec![thing.class.to_string()],
    });
    let faces = seen
        .and_then(|s| s.faces.as_ref())
        .filter(|f| f.at_ns.abs_diff(pts_ns) <= NEAR_NS);
    let faces = faces.into_iter().flat_map(|faces| {
        faces.tracks.iter().map(move |face| {
            let surest = faces.labels.iter().zip(&face.scores).max_by(|a, b| a.1.total_cmp(b.1));
            Shown {
                bbox: &face.bbox,
                colour: colour::of_track(face.track),
                paper: BLACK,
                forms: surest
                    .map(|(label, p)| vec![format!("{label} {p:.2}"), label.to_string()])
                    .unwrap_or_default(),
            }
        })
    });
    tracks.chain(things).chain(faces).collect()
}

/// Who takes part in an open alert stands on that alert's colour.
fn paper_of(track: u64, open: &[Alert]) -> Rgb {
    let own = open.iter().filter(|a| a.tracks.iter().any(|t| t.id == track));
    own.map(|a| a.severity).max().map_or(BLACK, draw::paper)
}

/// The gravest first, then the oldest: an update moves no line. Alerts that differ in their tracks only share one.
fn headings(open: &[Alert]) -> Vec<(String, Rgb)> {
    let mut sorted: Vec<&Alert> = open.iter().collect();
    sorted.sort_by_key(|a| (std::cmp::Reverse(a.severity), a.started_utc_ns, a.id.as_str()));
    let mut lines: Vec<(String, Rgb, f32, usize)> = Vec::new();
    for alert in sorted {
        let zone = alert.zone.as_deref().map_or(String::new(), |zone| format!(" {zone}"));
        let way = alert
            .direction
            .map_or(String::new(), |d| format!(" {}", d.as_str().replace('_', " ")));
        let text = format!("{}{zone}{way}", alert.kind);
        let paper = draw::paper(alert.severity);
        match lines.iter_mut().find(|l| l.0 == text && l.1 == paper) {
            Some(line) => (line.2, line.3) = (line.2.max(alert.score), line.3 + 1),
            None => lines.push((text, paper, alert.score, 1)),
        }
    }
    let told = |(text, paper, score, n): (String, Rgb, f32, usize)| match n {
        1 => (format!("{text} {score:.2}"), paper),
        n => (format!("{text} {score:.2} x{n}"), paper),
    };
    lines.into_iter().map(told).collect()
}

/// What the clip model says, how sure the kinds are that weigh several senses,
/// and what people seem to express.
fn senses(verdict: &Verdict) -> Vec<(Arc<str>, f32)> {
    let clip = verdict.acted().into_iter().flat_map(|acted| acted.told());
    let clip = clip.map(|(label, score)| (format!("clip {label}").into(), score));
    let judged = verdict
        .judged
        .iter()
        .map(|(kind, score)| (kind.as_str().into(), *score));
    let emotion = verdict.emotion.iter().flat_map(|e| e.fused.iter().flatten().cloned());
    clip.chain(judged).chain(emotion).collect()
}

/// A column of words with a bar of 0 to 1 each, at the bottom; what is too little to matter is left away. Returns where the next column
/// may begin.
fn gauges(picture: &mut Picture, labels: &mut Labels, left: i64, values: impl Iterator<Item = (Arc<str>, f32)>) -> i64 {
    let values: Vec<_> = values
        .filter(|(_, value)| *value >= LEAST)
        .map(|(label, value)| (draw::fitted(&label, BAR_LETTERS), value))
        .collect();
    let letters = values.iter().map(|(label, _)| label.chars().count()).max();
    let Some(letters) = letters else { return left };
    let dot = draw::dot_px(picture);
    let (word, row) = draw::words_px(picture, letters);
    let x = left + 2 * dot;
    let y = i64::from(picture.height) - (row + dot) * values.len() as i64 - 2 * dot;
    let bar = (BAR_DOTS * dot).min(i64::from(picture.width) - x - word - 2 * dot);
    for (i, (label, value)) in values.iter().enumerate() {
        let y = y + (row + dot) * i as i64;
        // The shorter words have as much paper as the longest.
        draw::text(picture, x, y, colour::WHITE, &format!("{label:letters$}"));
        draw::bar(picture, x + word, y, bar, *value, colour::ALERT);
    }
    let (w, h) = (word + bar.max(0), i64::from(picture.height) - y);
    labels.keep_free(Rect { x, y, w, h });
    x + w + 2 * dot
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::Zone;
    use crate::data::{AlertTrack, CameraId, Kind, Phase, Severity};

    fn grey(width: u32, height: u32) -> Picture {
        Picture {
            width,
            height,
            rgb: vec![128; (width * height * 3) as usize],
        }
    }

    fn alert(id: &str, severity: Severity, zone: Option<&str>) -> Alert {
        Alert {
            id: id.into(),
            seq: 0,
            phase: Phase::Start,
            camera: CameraId::new("yard"),
            kind: Kind::Intrusion,
            severity,
            prior: 0.1,
            score: 0.875,
            started_utc_ns: 0,
            updated_utc_ns: 0,
            ended_utc_ns: None,
            end_reason: None,
            zone: zone.map(Into::into),
            direction: None,
            tracks: vec![AlertTrack {
                id: 4,
                class: "person".into(),
                score: 0.9,
                bbox: BBox {
                    x1: 0.4,
                    y1: 0.4,
                    x2: 0.5,
                    y2: 0.8,
                },
            }],
            emotion: None,
            evidence: Vec::new(),
            suppressed: 0,
            snapshot: None,
        }
    }

    #[test]
    fn the_gravest_alert_stands_first_whatever_was_updated_last() {
        let open = [
            alert("02", Severity::Warning, None),
            alert("01", Severity::Warning, Some("yard")),
            alert("03", Severity::Critical, None),
            alert("04", Severity::Warning, Some("yard")),
        ];
        let said: Vec<String> = headings(&open).into_iter().map(|(text, _)| text).collect();
        assert_eq!(said, ["intrusion 0.88", "intrusion yard 0.88 x2", "intrusion 0.88"]);
        assert_eq!(headings(&open)[0].1, draw::paper(Severity::Critical));
        // Whoever takes part in one of them is marked by it.
        assert_eq!(
            (paper_of(4, &open), paper_of(5, &open)),
            (draw::paper(Severity::Critical), BLACK)
        );
    }

    /// The pixels of a colour: the least and the greatest x and y.
    fn extent(p: &Picture, colour: Rgb) -> Option<(u32, u32, u32, u32)> {
        let found = (0..p.height).flat_map(|y| (0..p.width).map(move |x| (x, y)));
        let found = found.filter(|(x, y)| {
            let at = ((y * p.width + x) * 3) as usize;
            p.rgb[at..at + 3] == colour
        });
        found.fold(None, |all, (x, y)| {
            let (x1, y1, x2, y2) = all.unwrap_or((x, y, x, y));
            Some((x1.min(x), y1.min(y), x2.max(x), y2.max(y)))
        })
    }

    #[test]
    fn a_line_is_named_and_its_right_side_is_the_one_that_alerts_mean() {
        let line = Line {
            name: "path".into(),
            from: Point { x: 0.5, y: 0.1 },
            to: Point { x: 0.5, y: 0.9 },
            direction: None,
            way: None,
            classes: Vec::new(),
            anchor: crate::behaviour::Anchor::Bottom,
        };
        let picture = grey(640, 480);
        let at = |side| beside(&picture, &line, side).unwrap();
        assert!(crate::geometry::right_of(line.from, line.to, at(1.0)) > 0.0);
        assert!(crate::geometry::right_of(line.from, line.to, at(-1.0)) < 0.0);
        let edge = Line {
            from: Point { x: 0.0, y: 0.1 },
            to: Point { x: 0.0, y: 0.9 },
            ..line.clone()
        };
        assert!(beside(&picture, &edge, 1.0).is_none() && beside(&picture, &edge, -1.0).is_some());
        let mut drawn = picture.clone();
        let behaviour = BehaviourOptions {
            lines: vec![line],
            ..BehaviourOptions::default()
        };
        paint(&mut drawn, &behaviour, &Verdict::bare(CameraId::new("yard")), &[], 0);
        let (x1, _, x2, _) = extent(&drawn, colour::LINE).unwrap();
        assert!(x1 < 310 && x2 > 330, "nothing is written beside the line: {x1} {x2}");
    }

    #[test]
    fn a_zone_is_named_below_an_alert_that_fits_into_a_small_picture() {
        let corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)];
        let zone = "the_lawn_beside_the_very_long_fence_at_the_northern_gate_house";
        let behaviour = BehaviourOptions {
            zones: vec![Zone::new(zone, corners.map(|(x, y)| Point { x, y }).to_vec())],
            ..BehaviourOptions::default()
        };
        let open = [alert("01", Severity::Warning, Some(zone))];
        let mut drawn = grey(320, 240);
        paint(&mut drawn, &behaviour, &Verdict::bare(CameraId::new("yard")), &open, 0);
        let (x1, y1, x2, y2) = extent(&drawn, draw::paper(Severity::Warning)).unwrap();
        assert!(x1 >= 2 && x2 <= 317 && y1 >= 2 && y2 < 14, "{x1} {y1} {x2} {y2}");
        // Its letters are in the zone's colour too; its outline is one pixel wide here.
        let inner = (20..238).any(|y| (10..310).any(|x| drawn.rgb[(y * 320 + x) * 3..][..3] == colour::ZONE));
        assert!(inner, "the zone has no name");
    }

    #[test]
    fn gauges_stay_in_a_small_picture_beside_each_other() {
        let mut picture = grey(320, 240);
        let mut labels = Labels::new(&picture);
        let values = |n: usize| {
            let labels = ["glass_break", "a_label_longer_than_any_that_ships", "siren"];
            labels.into_iter().take(n).map(|l| (Arc::<str>::from(l), 1.0))
        };
        let next = gauges(&mut picture, &mut labels, 0, values(3));
        let last = gauges(&mut picture, &mut labels, next, values(1));
        assert!(next < 200 && last <= 320, "{next} {last}");
        assert_eq!(gauges(&mut picture, &mut labels, 5, values(0)), 5);
        let (x1, y1, _, y2) = extent(&picture, colour::ALERT).unwrap();
        assert!(x1 > 100 && y1 > 200 && y2 < 240, "{x1} {y1} {y2}");
    }
}
