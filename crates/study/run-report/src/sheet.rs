//! A page of curves over time that are of no single run, such as two runs' over each other: drawn by the report's own charts.

use serde::Serialize;

use crate::columns::json;
use crate::page;

/// What the page shows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sheet {
    /// Its title.
    pub title: String,
    /// Sentences above the curves.
    pub lead: Vec<String>,
    /// Charts, one below the other, over the same time.
    pub panels: Vec<Panel>,
    /// Text below the curves, as a terminal shows it; empty: none.
    pub text: String,
}

/// A chart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Panel {
    /// What it shows.
    pub title: String,
    /// The unit's sign, such as MB.
    pub unit: String,
    /// Times in seconds, ascending.
    pub times: Vec<f64>,
    /// Its curves.
    pub curves: Vec<Curve>,
}

/// A curve.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Curve {
    /// Its name.
    pub name: String,
    /// Which of the page's looks it has: the same number looks the same in every chart.
    pub place: usize,
    /// A value for each time; `None` where there is none.
    pub values: Vec<Option<f64>>,
}

impl Sheet {
    /// The page as UTF-8. It needs no network and no other file.
    #[must_use]
    pub fn page(&self) -> Vec<u8> {
        page::curves(|out| json(&serde_json::json!(self), out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_sheet_says_does_not_become_part_of_the_page() {
        let curve = Curve { name: "</script><b>".to_owned(), place: 0, values: vec![Some(1.0), None] };
        let panel = Panel {
            title: "<!--".to_owned(),
            unit: "MB".to_owned(),
            times: vec![0.0, 1.0],
            curves: vec![curve],
        };
        let sheet = Sheet {
            title: "A".to_owned(),
            lead: Vec::new(),
            panels: vec![panel],
            text: "</script>".to_owned(),
        };
        let page = String::from_utf8(sheet.page()).unwrap();
        assert!(!page.contains("</script><b>") && !page.contains("<!--"));
        assert!(page.contains("[1.0,null]") && page.contains("uPlot"));
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count());
    }
}
