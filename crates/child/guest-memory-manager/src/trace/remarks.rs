//! What was done to make a trace of files that are not whole.

use core::time::Duration;

use input_file::CodePage;

/// What was done to make a trace of its files, of which their user should be told.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TraceRemarks {
    /// The first file with a line that is no UTF-8.
    pub code_page: Option<(String, CodePage)>,
    /// Gaps that straight lines fill, and the longest of them.
    pub gaps: (u64, Duration),
    /// Rows left out because the row before has their time.
    pub twice: u64,
    /// Rows left out because nothing was provisioned: the VM was off.
    pub off: u64,
    /// VMs left out because they were never on, or have no rows.
    pub never_on: u64,
    /// VMs whose rows stand in more than one file.
    pub joined: u64,
}

impl TraceRemarks {
    /// Nothing was done, nothing is to be told.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One sentence for each kind.
    #[must_use]
    pub fn sentences(&self) -> Vec<String> {
        let mut said = Vec::new();
        let mut say = |count: u64, one: &str, many: &str| match count {
            0 => {}
            1 => said.push(format!("1 {one}")),
            _ => said.push(format!("{count} {many}")),
        };
        say(self.joined, "VM was joined from several files", "VMs were joined from several files");
        let longest = self.gaps.1.as_secs_f64();
        say(
            self.gaps.0,
            &format!("gap was filled by a straight line ({longest} s)"),
            &format!("gaps were filled by straight lines (the longest {longest} s)"),
        );
        say(
            self.twice,
            "row was left out: it has the time of the row before",
            "rows were left out: they have the times of the rows before",
        );
        let off = "with 0 KB provisioned (the VM is off)";
        say(self.off, &format!("row was left out: {off}"), &format!("rows were left out: {off}"));
        say(
            self.never_on,
            "VM was left out: it has no row in which it is on",
            "VMs were left out: they have no row in which they are on",
        );
        said.extend(self.code_page.as_ref().map(|(file, page)| format!("{file}: {page}")));
        said
    }
}
