//! Sizing from the first half of what was recorded, and looking at the second.

use core::time::Duration;

use guest_memory_manager::trace::TraceWindow;
use page_range::PageCount;

use crate::ample::Ample;
use crate::answer::BackTest;
use crate::fleet::Fleet;
use crate::question::{Hosts, Question};
use crate::runs::Here;
use crate::smallest::memory_of;
use crate::tries::Tries;
use crate::{Progress, SizingError};

/// Sizes from the first half, and replays the second on what that said.
///
/// # Errors
/// A load that is not recorded, or runs that fail.
pub fn back_test(
    fleet: &Fleet,
    question: &Question,
    progress: Progress<'_>,
) -> Result<BackTest, SizingError> {
    let half = fleet.length() / 2;
    if half < Duration::from_secs(60) {
        return Err(SizingError::Load("too little was recorded for two halves".to_owned()));
    }
    if fleet.is_recorded() && fleet.evidence.recorded == 0 {
        return Err(SizingError::Load(
            "what is demanded is known at one moment only, so there is no second half to test with: add a log, such as perfmon's"
                .to_owned(),
        ));
    }
    let window = |from, to| {
        TraceWindow::new(from, to).ok_or_else(|| SizingError::Load("nothing was recorded".to_owned()))
    };
    let first = fleet.window(window(Duration::ZERO, half)?)?;
    let second = fleet.window(window(half, fleet.length() + Duration::from_secs(1))?)?;
    let hosts = match &question.hosts {
        Hosts::Number(hosts) | Hosts::Given(hosts, _) => *hosts,
        Hosts::Sizes(_) => {
            return Err(SizingError::Question(
                "a back-test needs --hosts: it asks for the memory of so many hosts".to_owned(),
            ));
        }
    };
    let question = Question { hosts: Hosts::Number(hosts), ..question.clone() };
    let here = Here { threads: question.threads, progress };
    let said = memory_of(&mut Tries::new(Ample::measure(&first, &question, &here)?), hosts, None)?;
    let mut then = Tries::new(Ample::measure(&second, &question, &here)?);
    let memory = PageCount::from_mib(said.memory_mb as u64);
    let (broken, ended_early) = then.violations((hosts, memory))?;
    let needed = memory_of(&mut then, hosts, None)?;
    let vms = second.vms.len();
    Ok(BackTest {
        hosts,
        memory_mb: said.memory_mb,
        vms,
        kept: vms - broken.len().min(vms),
        broken,
        ended_early,
        second_half_mb: needed.memory_mb,
        half_s: half.as_secs_f64(),
    })
}
