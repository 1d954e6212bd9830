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
use crate::view::{View, VmRow, WAY};

/// The smallest terminal in which the view says something: columns and lines.
pub const SMALLEST: (u16, u16) = (60, 16);

/// Columns of a VM's bar.
const BAR: usize = 23;

/// Draws everything.
pub fn draw(view: &View, frame: &mut Frame<'_>) {
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
    frame.render_widget(Paragraph::new(vm_lines(view, usize::from(list.height))), list);
    if way.height > 0 {
        frame.render_widget(
            Paragraph::new(way_lines(view)).block(Block::bordered().title(" From guest to balancer ")),
            way,
        );
    }
    let bold = Style::new().add_modifier(Modifier::BOLD);
    list_of(
        frame,
        decisions,
        Line::styled("Decisions and moves", bold),
        view.decisions.iter().map(|line| Line::raw(line.as_str())),
    );
    let name = view.chosen().map(|row| row.name.clone());
    let of_chosen =
        view.events.iter().filter(|(vm, ..)| vm.is_none() || *vm == name).map(|(_, severity, line)| {
            match severity {
                Severity::Normal => Line::raw(line.as_str()),
                Severity::Warning => Line::styled(line.as_str(), Color::Yellow),
                Severity::Error => Line::styled(line.as_str(), Color::Red),
            }
        });
    let heading = format!("Events of {} and of the host", name.as_deref().unwrap_or("no VM"));
    list_of(frame, events, Line::styled(heading, bold), of_chosen);
    let said = view.prompt.as_deref().unwrap_or(&view.message);
    frame.render_widget(
        Paragraph::new(vec![Line::styled(said.to_owned(), Style::new().bold()), Line::raw(help(view)).dim()])
            .wrap(Wrap { trim: true }),
        foot,
    );
}

/// A heading, and below it as many of the last lines as fit.
fn list_of<'a>(
    frame: &mut Frame<'_>,
    area: Rect,
    heading: Line<'a>,
    lines: impl DoubleEndedIterator<Item = Line<'a>>,
) {
    let mut shown: Vec<Line<'a>> = lines.rev().take(usize::from(area.height.saturating_sub(1))).collect();
    shown.push(heading);
    shown.reverse();
    frame.render_widget(Paragraph::new(shown), area);
}

fn title(view: &View, width: u16) -> Paragraph<'static> {
    let state = match (view.over, view.paused) {
        (true, _) if view.recorded => "the end".to_owned(),
        (true, _) => "over (q leaves)".to_owned(),
        (false, true) => "paused".to_owned(),
        (false, false) => format!("{}×", view.speed),
    };
    let seconds = Duration::from_millis(view.now.as_millis() as u64);
    let right = format!(
        "{} of {}  {state}",
        quantities::format_duration(seconds),
        quantities::format_duration(Duration::from_millis(view.until.as_millis() as u64))
    );
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
        Line::raw(format!(
            "MB: █ VMs {}  ▓ in transit {}  ▒ reserve and overhead {}  · available {}",
            mb(host.assigned),
            mb(host.in_transit),
            mb(parent),
            mb(host.available)
        )),
        Line::raw(format!(
            "Parent OS: {:.0} MB free, {:.1} page reads/s{}",
            host.parent_free_mib,
            host.parent_reads_per_second,
            // No counter of a recorded run says this.
            if view.recorded {
                String::new()
            } else {
                format!(", host's work takes {:.2} times as long", host.slowdown.max(1.0))
            }
        )),
    ]
}

fn vm_lines(view: &View, height: usize) -> Vec<Line<'static>> {
    let heading = format!(
        "{:<10} {:<9} {:<BAR$} {:>6} {:>6} {:>5} {:>6} {:>4}",
        "VM", "state", "█ has  ▒ lacks", "memory", "demand", "press", "target", "prio"
    );
    let mut lines = vec![Line::styled(heading, Style::new().add_modifier(Modifier::BOLD))];
    let room = height.saturating_sub(1);
    // The chosen VM is always to be seen.
    let first = view.chosen.saturating_sub(room.saturating_sub(1));
    for (place, row) in view.vms.iter().enumerate().skip(first).take(room) {
        let line = Line::from(vm_spans(row));
        lines.push(if place == view.chosen {
            line.style(Style::new().add_modifier(Modifier::REVERSED))
        } else {
            line
        });
    }
    lines
}

fn vm_spans(row: &VmRow) -> Vec<Span<'static>> {
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
    let name: String = row.name.chars().take(10).collect();
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
        Span::raw(format!("{name:<10} {state:<9} ")),
        Span::raw(bar(row.maximum, &parts, BAR)),
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
fn way_lines(view: &View) -> Vec<Line<'static>> {
    let Some(row) = view.chosen() else { return Vec::new() };
    let latest = row.last.values().map(|(at, _)| *at).max();
    WAY.iter()
        .map(|component| match row.last.get(component) {
            None => Line::raw(format!("  {component:<16}")).dim(),
            Some((at, what)) => {
                let mark = if Some(*at) == latest { '▶' } else { ' ' };
                let time = quantities::format_duration(Duration::from_millis(at.as_millis() as u64));
                Line::raw(format!("{mark} {component:<16} {time:>12}  {what}"))
            }
        })
        .collect()
}
