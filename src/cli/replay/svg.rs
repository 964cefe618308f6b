//! Users' states as bars over time, drawn as SVG.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use crate::cli::output::{printable, time};
use crate::model::Millis;
use crate::runtime::history::timeline::Kept;
use crate::wire::ask::{Past, Segment};
use crate::wire::{ToldEvent, told};

/// Most users that are drawn: as many as can be read on one page.
pub(super) const USERS_MAX: usize = 50;
/// Most bars of one user.
const BARS_MAX: usize = 2_000;
/// Most users that are counted beside those that are drawn.
const LEFT_OUT_MAX: usize = 100_000;

/// What each state looks like; the legend is in this order. They differ in lightness too.
const COLOURS: [(Past, &str); 6] = [
    (Past::Active, "#1b7f4b"),
    (Past::Idle, "#7cc08d"),
    (Past::Away, "#f2b134"),
    (Past::Stale, "#c8553d"),
    (Past::Offline, "#d9dde3"),
    (Past::Unknown, "#ffffff"),
];

const LEFT: u64 = 180;
const WIDTH: u64 = 1_000;
const RIGHT: u64 = 20;
const TOP: u64 = 64;
const ROW: u64 = 22;
const BAR: u64 = 14;
const BOTTOM: u64 = 34;
/// How many parts the line of time has.
const PARTS: u64 = 4;

/// What is to be drawn: the first users that were told of.
#[derive(Default)]
pub(super) struct Drawing {
    users: BTreeMap<Box<str>, (u16, Kept)>,
    left_out: BTreeSet<Box<str>>,
    blind: BTreeMap<u16, Vec<told::Engine<'static>>>,
    first_ms: Option<Millis>,
}

impl Drawing {
    /// Takes the next event of those that were told of this tenant, or of a partition.
    pub(super) fn observe(&mut self, told: ToldEvent) {
        match told {
            ToldEvent::User(of) => {
                if !self.users.contains_key(&*of.user) && self.users.len() == USERS_MAX {
                    if self.left_out.len() < LEFT_OUT_MAX {
                        self.left_out.insert((*of.user).into());
                    }
                    return;
                }
                self.first_ms = Some(self.first_ms.map_or(of.at_ms, |first| first.min(of.at_ms)));
                let (_, kept) = self.users.entry((*of.user).into()).or_insert((of.partition, Kept::default()));
                kept.observe(ToldEvent::User(of));
            }
            ToldEvent::Engine(of) => self.blind.entry(of.partition).or_default().push(of),
            ToldEvent::Session(_)
            | ToldEvent::Ready(_)
            | ToldEvent::Room(_)
            | ToldEvent::Member(_)
            | ToldEvent::Rejected(_)
            | ToldEvent::Other { .. } => {}
        }
    }

    /// How many users are drawn, and how many are not.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.users.len(), self.left_out.len())
    }

    /// The drawing from `from_ms` on, or from the first event, until `to_ms`; `None` if there is nobody to draw.
    pub(super) fn svg(self, tenant: &str, from_ms: Option<Millis>, to_ms: Millis) -> Option<String> {
        let Self { users, left_out, blind, first_ms } = self;
        let first_ms = first_ms?;
        let from_ms = from_ms.unwrap_or(first_ms).min(to_ms.saturating_sub(1));
        let mut rows = Vec::with_capacity(users.len());
        for (user, (partition, mut kept)) in users {
            for of in blind.get(&partition).into_iter().flatten() {
                kept.observe(ToldEvent::Engine(of.clone()));
            }
            // What was told before the drawing begins was not read; the first event says what was before it.
            let (segments, _) = kept.timeline(Some(from_ms)).page(from_ms, to_ms, BARS_MAX);
            rows.push((user, segments));
        }
        Some(draw(tenant, &rows, (from_ms, to_ms), left_out.len()))
    }
}

fn draw(
    tenant: &str,
    rows: &[(Box<str>, Vec<Segment>)],
    (from_ms, to_ms): (Millis, Millis),
    left_out: usize,
) -> String {
    let bottom = TOP + ROW * rows.len() as u64;
    let (width, height) = (LEFT + WIDTH + RIGHT, bottom + BOTTOM);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\" \
         font-family=\"sans-serif\" font-size=\"12\" fill=\"#1f2933\">\n\
         <defs><pattern id=\"blind\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
         <path d=\"M0 6L6 0\" stroke=\"#1f2933\"/></pattern></defs>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    let not_drawn = if left_out == 0 { String::new() } else { format!(", {left_out} more are not drawn") };
    let noun = if rows.len() == 1 { "user" } else { "users" };
    let title = format!("{tenant}: {} {noun}{not_drawn}", rows.len());
    text(&mut svg, 12, 22, "start", &title);
    legend(&mut svg);
    let x = |at_ms: Millis| place(at_ms, from_ms, to_ms);
    for (row, (user, segments)) in rows.iter().enumerate() {
        let y = TOP + ROW * row as u64;
        text(&mut svg, LEFT - 8, y + 12, "end", &shortened(user));
        for of in segments {
            bar(&mut svg, (x(of.from_ms), x(of.to_ms)), y, of);
        }
    }
    for part in 0..=PARTS {
        let at = LEFT + WIDTH * part / PARTS;
        let at_ms = from_ms + (to_ms - from_ms) / PARTS * part;
        line(&mut svg, &format!("<path d=\"M{at} {}V{bottom}\" stroke=\"#1f2933\" stroke-opacity=\"0.25\"/>", TOP - 4));
        let anchor = if part == PARTS {
            "end"
        } else if part == 0 {
            "start"
        } else {
            "middle"
        };
        text(&mut svg, at, bottom + 18, anchor, &time(at_ms));
    }
    svg.push_str("</svg>\n");
    svg
}

fn legend(svg: &mut String) {
    let mut x = LEFT;
    for (state, colour) in COLOURS {
        line(
            svg,
            &format!("<rect x=\"{x}\" y=\"36\" width=\"14\" height=\"14\" fill=\"{colour}\" stroke=\"#1f2933\"/>"),
        );
        text(svg, x + 20, 48, "start", state.as_str());
        x += 90;
    }
    line(
        svg,
        &format!("<rect x=\"{x}\" y=\"36\" width=\"14\" height=\"14\" fill=\"url(#blind)\" stroke=\"#1f2933\"/>"),
    );
    text(svg, x + 20, 48, "start", "nobody watched");
}

fn bar(svg: &mut String, (from, to): (u64, u64), y: u64, of: &Segment) {
    let colour = COLOURS.iter().find(|(state, _)| *state == of.state).map_or("#ffffff", |(_, colour)| colour);
    // Tenths of a pixel; what is shorter than one is still seen.
    let (x, width) = (tenths(from), tenths(to.saturating_sub(from).max(5)));
    let why = of.cause.as_deref().map_or_else(String::new, |cause| format!(", {cause}"));
    let watched = if of.observed { "" } else { ", nobody watched" };
    let told = format!("{} from {} to {}{why}{watched}", of.state.as_str(), time(of.from_ms), time(of.to_ms));
    let place = format!("x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{BAR}\"");
    line(svg, &format!("<rect {place} fill=\"{colour}\"><title>{}</title></rect>", escaped(&told)));
    if !of.observed {
        line(svg, &format!("<rect {place} fill=\"url(#blind)\" pointer-events=\"none\"/>"));
    }
}

/// Where a time is, in tenths of a pixel.
fn place(at_ms: Millis, from_ms: Millis, to_ms: Millis) -> u64 {
    let (passed, whole) = (u128::from(at_ms.clamp(from_ms, to_ms) - from_ms), u128::from((to_ms - from_ms).max(1)));
    LEFT * 10 + u64::try_from(passed * u128::from(WIDTH * 10) / whole).unwrap_or(WIDTH * 10)
}

fn tenths(of: u64) -> String {
    format!("{}.{}", of / 10, of % 10)
}

fn text(svg: &mut String, x: u64, y: u64, anchor: &str, text: &str) {
    line(svg, &format!("<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{}</text>", escaped(text)));
}

fn line(svg: &mut String, line: &str) {
    // Writing into a text can't fail.
    _ = writeln!(svg, "{line}");
}

/// As much of a name as there is room for.
fn shortened(name: &str) -> String {
    let count = name.chars().count();
    if count <= 24 { name.to_owned() } else { name.chars().take(23).chain(['…']).collect() }
}

/// A text of somebody else's, so that it is nothing but text.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            // XML has no such characters.
            '\u{fffe}' | '\u{ffff}' => escaped.push(char::REPLACEMENT_CHARACTER),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(user: &str, at_ms: Millis, from: &str, to: &str) -> ToldEvent {
        let event = json!({
            "v": 1, "kind": "user", "id": "0-0-1-0", "incarnation": 1, "ordinal": 2, "cause": "<quiet>", "at_ms": at_ms,
            "partition": 3, "seq": 1, "tenant": "main", "user": user, "from": from, "to": to,
            "sessions": {"active": 0, "idle": 0, "away": 0, "stale": 0}, "intent": "open", "intent_until_ms": null,
            "ready": [], "last_seen_ms": 1, "last_input_ms": 1, "confidence": null, "next": null,
        });
        ToldEvent::read(event.to_string().as_bytes()).unwrap()
    }

    fn blind(from_ms: Millis, to_ms: Millis) -> ToldEvent {
        let event = json!({
            "v": 1, "kind": "engine", "id": "3-0-1-0", "at_ms": to_ms, "partition": 3, "seq": 1, "what": "blind",
            "from_ms": from_ms, "to_ms": to_ms,
        });
        ToldEvent::read(event.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn bars_are_as_long_as_the_states_and_names_are_nothing_but_text() {
        let mut drawing = Drawing::default();
        for event in [
            told("<script>&\u{1b}'\"", 1_500, "active", "idle"),
            blind(1_600, 1_700),
            told("bob", 1_900, "offline", "active"),
        ] {
            drawing.observe(event);
        }
        assert_eq!(drawing.counts(), (2, 0));
        let svg = drawing.svg("a<b", Some(1_000), 2_000).unwrap();
        assert!(svg.starts_with("<svg xmlns=") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("<text x=\"12\" y=\"22\" text-anchor=\"start\">a&lt;b: 2 users</text>"), "{svg}");
        assert!(svg.contains(">&lt;script&gt;&amp;\u{fffd}&#39;&quot;</text>"), "{svg}");
        assert!(!svg.contains("<script") && !svg.contains("<quiet"));
        let (active, idle) = (COLOURS[0].1, COLOURS[1].1);
        assert!(
            svg.contains(&format!("<rect x=\"180.0\" y=\"64\" width=\"500.0\" height=\"14\" fill=\"{active}\">")),
            "{svg}"
        );
        assert!(
            svg.contains(&format!("<rect x=\"680.0\" y=\"64\" width=\"100.0\" height=\"14\" fill=\"{idle}\">")),
            "{svg}"
        );
        assert!(svg.contains("<rect x=\"780.0\" y=\"64\" width=\"100.0\" height=\"14\" fill=\"url(#blind)\""), "{svg}");
        for (state, _) in COLOURS {
            assert!(svg.contains(&format!(">{}</text>", state.as_str())), "the legend names it");
        }
    }

    #[test]
    fn users_beyond_the_limit_are_counted_and_said() {
        let mut drawing = Drawing::default();
        for n in 0..USERS_MAX + 3 {
            drawing.observe(told(&format!("u{n}"), 1_500, "offline", "active"));
            drawing.observe(told(&format!("u{n}"), 1_600, "active", "idle"));
        }
        assert_eq!(drawing.counts(), (USERS_MAX, 3));
        let svg = drawing.svg("main", None, 2_000).unwrap();
        assert!(svg.contains("main: 50 users, 3 more are not drawn"));
        assert!(Drawing::default().svg("main", None, 2_000).is_none());
    }
}
