//! Drawing a [`View`].

use std::time::Duration;

use page_range::PageCount;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style, Stylize as _};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Paragraph, Wrap};
use run_journal::Severity;
use vmms_host::VmState;

use crate::keys::help;
use crate::view::{Kind, View, VmRow, WAY};

/// The smallest terminal in which the view says something: columns and lines.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Columns of a VM's bar where there is room, of a VM's name, and of all else in a VM's row.
const BAR: usize = 23;
/// The same in a wide terminal.
const WIDE_BAR: usize = 72;
const NAME: usize = 10;
const ROW: usize = NAME + 43;

/// Where the second line of an event begins.
const INDENT: usize = 14;

/// Draws everything; without colours if the view has none.
pub fn draw(view: &View, frame: &mut Frame<'_>) {
    draw_coloured(view, frame);
    if !view.colours {
        for cell in &mut frame.buffer_mut().content {
            cell.set_fg(Color::Reset).set_bg(Color::Reset);
        }
    }
}

fn draw_coloured(view: &View, frame: &mut Frame<'_>) {
    let area = frame.area();
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        let text = format!(
            "The terminal has {} by {} characters; this view needs {} by {}.",
            area.width, area.height, SMALLEST.0, SMALLEST.1
        );
        frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: true }), area);
        return;
    }
    let vms = u16::try_from(view.vms.len()).unwrap_or(u16::MAX).min(area.height / 3);
    let [head, host, list, way, decisions, events, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(vms + 1),
        Constraint::Length(if area.height >= 28 { 6 } else { 0 }),
        Constraint::Fill(2),
        Constraint::Fill(3),
        Constraint::Length(3),
    ])
    .areas(area);
    frame.render_widget(title(view, head.width), head);
    frame.render_widget(Paragraph::new(host_lines(view, usize::from(host.width))), host);
    frame.render_widget(Paragraph::new(vm_lines(view, list)), list);
    if way.height > 0 {
        frame.render_widget(
            Paragraph::new(way_lines(view, usize::from(way.width)))
                .block(Block::bordered().title(" From guest to balancer ")),
            way,
        );
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    list_of(
        frame,
        decisions,
        Line::styled("Decisions and moves", bold),
        view.decisions.iter().map(|line| (line.as_str(), Style::new())),
    );
    let name = view.chosen().map(|row| row.name.clone());
    let of_chosen =
        view.events.iter().filter(|(vm, ..)| vm.is_none() || *vm == name).map(|(_, severity, line)| {
            let style = match severity {
                Severity::Normal => Style::new(),
                Severity::Warning => Color::Yellow.into(),
                Severity::Error => Color::Red.into(),
            };
            (line.as_str(), style)
        });
    let heading = format!("Events of {} and of the host", name.as_deref().unwrap_or("no VM"));
    if view.vms.is_empty() && !view.heard.is_empty() {
        let said = view.heard.iter().map(|line| (line.as_str(), Style::new()));
        list_of(frame, events, Line::styled("Before there is a guest", bold), said);
    } else {
        list_of(frame, events, Line::styled(heading, bold), of_chosen);
    }
    let said = match (&view.prompt, view.message.as_str()) {
        (Some(prompt), "") => Line::styled(prompt.clone(), Style::new().bold()),
        // What was typed is wrong: why comes first, since a long question may fill the lines.
        (Some(prompt), why) => Line::styled(format!("{why} (Esc leaves). {prompt}"), Style::new().bold()),
        (None, "") => {
            let last = view.heard.last().map_or("", String::as_str);
            Line::raw(terminal_text::cut(last, usize::from(foot.width)).into_owned()).dim()
        }
        (None, message) => Line::styled(message.to_owned(), Style::new().bold()),
    };
    frame.render_widget(
        Paragraph::new(vec![said, Line::raw(help(view)).dim()]).wrap(Wrap { trim: true }),
        foot,
    );
}

/// A heading, and below it as many of the last lines as fit. Where there is room for a few, they are broken between words as the area wants it;
/// else each has one row, and ends in an ellipsis.
fn list_of<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    heading: Line<'a>,
    lines: impl DoubleEndedIterator<Item = (&'a str, Style)>,
) {
    let room = usize::from(area.height.saturating_sub(1));
    let mut shown: Vec<Line<'a>> = Vec::new();
    for (line, style) in lines.rev() {
        let width = usize::from(area.width);
        let broken = terminal_text::wrap_after("", line, width, INDENT);
        let tall = broken.lines().count() > room.div_ceil(2);
        let broken = if tall { terminal_text::cut(line, width).into_owned() } else { broken };
        if shown.len() + broken.lines().count() > room {
            break;
        }
        shown.extend(broken.lines().rev().map(|line| Line::styled(line.to_owned(), style)));
    }
    shown.push(heading);
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
}

fn title(view: &View, width: u16) -> Paragraph<'static> {
    let state = match (view.over, view.paused) {
        (true, _) if view.kind == Kind::Recorded => "the end".to_owned(),
        (true, _) => "over (q leaves)".to_owned(),
        (false, _) if view.follows => "live".to_owned(),
        (false, true) => "paused".to_owned(),
        (false, false) => format!("{}×", view.speed),
    };
    // What goes by faster than it is read is shown to the second.
    let exact = view.paused || view.speed < 1.0;
    let time = |time: Duration| {
        let whole = Duration::from_secs(time.as_secs());
        let shown = if exact { Duration::from_millis(time.as_millis() as u64) } else { whole };
        quantities::format_duration(shown)
    };
    let right = if view.follows {
        format!("{}  {state}", time(view.now))
    } else {
        format!("{} of {}  {state}", time(view.now), time(view.until))
    };
    let room = usize::from(width).saturating_sub(right.chars().count() + 1);
    let left: String = view.title.chars().take(room).collect();
    Paragraph::new(format!("{left:<room$} {right}")).style(Style::new().add_modifier(Modifier::REVERSED))
}

fn mb(pages: PageCount) -> String {
    format!("{:.0}", pages.mib())
}

/// A bar of `width` characters: parts of a whole, each with its sign.
fn bar(whole: PageCount, parts: &[(PageCount, char)], width: usize) -> String {
    let mut text = String::new();
    let mut sum = PageCount::ZERO;
    for (pages, sign) in parts {
        sum += *pages;
        let end = (width as f64 * (sum.mib() / whole.mib().max(1.0)).min(1.0)).round() as usize;
        while text.chars().count() < end {
            text.push(*sign);
        }
    }
    while text.chars().count() < width {
        text.push('·');
    }
    text
}

fn host_lines(view: &View, width: usize) -> Vec<Line<'static>> {
    let host = &view.host;
    let parent = view
        .host_memory
        .saturating_sub(host.assigned)
        .saturating_sub(host.available)
        .saturating_sub(host.in_transit);
    let parts = [(host.assigned, '█'), (host.in_transit, '▓'), (parent, '▒')];
    vec![
        Line::raw(format!(
            "Host {} MB  {}",
            mb(view.host_memory),
            bar(view.host_memory, &parts, width.saturating_sub(18))
        )),
        first_that_fits(
            width,
            [
                format!(
                    "MB: █ VMs {}  ▓ in transit {}  ▒ reserve and overhead {}  · available {}",
                    mb(host.assigned),
                    mb(host.in_transit),
                    mb(parent),
                    mb(host.available)
                ),
                format!(
                    "█ VMs {} ▓ moving {} ▒ reserve {} · available {}",
                    mb(host.assigned),
                    mb(host.in_transit),
                    mb(parent),
                    mb(host.available)
                ),
            ],
        ),
        first_that_fits(
            width,
            [("page reads/s", ", host's work takes", "times as long"), ("reads/s", ", work takes", "times")]
                .map(|(reads, takes, times)| {
                    let parent = format!(
                        "Parent OS: {:.0} MB free, {:.1} {reads}",
                        host.parent_free_mib, host.parent_reads_per_second
                    );
                    match view.kind {
                        Kind::Simulated => format!("{parent}{takes} {:.2} {times}", host.slowdown.max(1.0)),
                        // No counter of a recorded run says how much longer the host's work takes.
                        Kind::Recorded => parent,
                        Kind::RealGuests { .. } => {
                            "Parent OS: that of this computer, which is not modelled".to_owned()
                        }
                    }
                }),
        ),
    ]
}

/// The first of two texts, or the shorter second where the first has no room.
fn first_that_fits(width: usize, [long, short]: [String; 2]) -> Line<'static> {
    if terminal_text::width(&long) <= width {
        Line::raw(long)
    } else {
        Line::raw(terminal_text::cut(&short, width).into_owned())
    }
}

fn vm_lines(view: &View, area: Rect) -> Vec<Line<'static>> {
    let room = usize::from(area.width).saturating_sub(ROW);
    // In a wide terminal half of what is left, so that a row can still be followed.
    let bar = room.min(BAR.max(room / 2)).min(WIDE_BAR);
    let heading = format!(
        "{:<NAME$} {:<9} {:<bar$} {:>6} {:>6} {:>5} {:>6} {:>4}",
        "VM",
        "state",
        if bar < 14 { "" } else { "█ has  ▒ lacks" },
        "memory",
        "demand",
        "press",
        "target",
        "prio"
    );
    let mut lines = vec![Line::styled(heading, Style::new().add_modifier(Modifier::BOLD))];
    let room = usize::from(area.height.saturating_sub(1));
    // The chosen VM is always to be seen.
    let first = view.chosen.saturating_sub(room.saturating_sub(1));
    for (place, row) in view.vms.iter().enumerate().skip(first).take(room) {
        let line = Line::from(vm_spans(row, bar));
        lines.push(if place == view.chosen {
            line.style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    lines
}

fn vm_spans(row: &VmRow, columns: usize) -> Vec<Span<'static>> {
    let state = match row.state {
        VmState::Off => "off",
        VmState::Starting => "starting",
        VmState::Running => "running",
        VmState::Stopping => "stopping",
        VmState::Failed => "failed",
    };
    let lacking =
        row.demand.map_or(PageCount::ZERO, |demand| demand.saturating_sub(row.physical)) + row.refused;
    let parts = [(row.physical, '█'), (lacking, '▒')];
    let name = terminal_text::cut_name(&row.name, NAME);
    let space = " ".repeat(NAME.saturating_sub(terminal_text::width(&name)));
    let (pressure, colour) = match row.pressure {
        None => ("–".to_owned(), Color::Reset),
        Some(pressure) => (
            format!("{pressure:.0}%"),
            // Above 100 the VM lacks memory; near it the buffer is eaten.
            if pressure > 100.0 {
                Color::Red
            } else if pressure > 90.0 {
                Color::Yellow
            } else {
                Color::Green
            },
        ),
    };
    vec![
        Span::raw(format!("{name}{space} {state:<9} ")),
        Span::raw(bar(row.maximum, &parts, columns)),
        Span::raw(format!(" {:>6} {:>6} ", mb(row.physical), row.demand.map_or_else(|| "–".to_owned(), mb))),
        Span::styled(format!("{pressure:>5}"), colour),
        Span::raw(format!(
            " {:>6} {:>4}",
            mb(row.target),
            row.priority.map_or_else(|| "–".to_owned(), |priority| priority.to_string())
        )),
    ]
}

/// What the components of the chosen VM's way did last; the latest is marked.
fn way_lines(view: &View, width: usize) -> Vec<Line<'static>> {
    let Some(row) = view.chosen() else { return Vec::new() };
    let latest = row.last.values().map(|(at, _)| *at).max();
    WAY.iter()
        .map(|component| match row.last.get(component) {
            None => Line::raw(format!("  {component:<16}")).dim(),
            Some((at, what)) => {
                let mark = if Some(*at) == latest { '▶' } else { ' ' };
                let time = quantities::format_duration(Duration::from_millis(at.as_millis() as u64));
                let text = format!("{mark} {component:<16} {time:>12}  {what}");
                // The box has a line at each side.
                Line::raw(terminal_text::cut(&text, width.saturating_sub(2)).into_owned())
            }
        })
        .collect()
}
