//! Finding the answer.

use crate::advise::{self, Advice};
use crate::allowed::Promises;
use crate::ample::Ample;
use crate::answer::{Answer, Found, SCHEMA, Shortage};
use crate::confidence::Confidence;
use crate::fleet::Fleet;
use crate::job::Engine;
use crate::measure::Series;
use crate::parts;
use crate::question::{Growth, Hosts, Question};
use crate::runs::{Here, Runs};
use crate::smallest::{hosts_of, memory_of};
use crate::tries::{MOST_TOLD, Tries};
use crate::{Progress, SizingError};

/// Finds the answer.
///
/// # Errors
/// A question without sense, or a run that fails.
pub fn size(
    fleet: &Fleet,
    question: &Question,
    growth: Option<Growth>,
    burst: bool,
    command: &str,
    progress: Progress<'_>,
) -> Result<Answer, SizingError> {
    let here = Here { threads: question.threads, progress };
    size_with(fleet, question, growth, burst, command, &here)
}

/// Finds the answer by what somebody runs.
pub(crate) fn size_with(
    fleet: &Fleet,
    question: &Question,
    growth: Option<Growth>,
    burst: bool,
    command: &str,
    runs: &dyn Runs,
) -> Result<Answer, SizingError> {
    let mut tries = Tries::new(Ample::measure(fleet, question, runs)?);
    let found = answers(&mut tries)?;
    let advice = advise::advise(fleet, &tries.ample.figures, &tries.ample.short_anyway());
    let with_advice = with_advice(&tries, &advice, &found, runs)?;
    // Static memory takes what it has, whatever it demands.
    let peaks = tries.ample.figures.iter().zip(&fleet.vms).map(|(figures, vm)| {
        if vm.settings.dynamic { figures.maximum_mb } else { vm.settings.startup.mib() }
    });
    let mut on_any_host: Vec<Shortage> = tries.ample.on_any_host();
    on_any_host.truncate(MOST_TOLD);
    Ok(Answer {
        schema: SCHEMA,
        title: fleet.title.clone(),
        policy: fleet.plans[0].policy.clone(),
        risk: question.risk,
        spare: question.spare,
        growth,
        vms: fleet.vms.len(),
        length_s: fleet.length().as_secs_f64(),
        warm_up_s: fleet.warm_up_s(),
        begins_ms: fleet.begins,
        seeds: fleet.plans.len(),
        sought: question.hosts.sought(),
        found,
        evaluated: tries.evaluated(),
        on_any_host,
        static_maximum_mb: fleet.vms.iter().map(|vm| vm.settings.maximum.mib()).sum(),
        static_peak_mb: peaks.sum(),
        peak_of_sum_mb: tries.ample.peak_of_sum,
        advice,
        with_advice,
        series: tries.series.take().unwrap_or_default(),
        confidence: Confidence::of(&fleet.evidence, fleet.is_recorded(), burst),
        back_test: None,
        command: command.to_owned(),
    })
}

fn answers(tries: &mut Tries<'_>) -> Result<Vec<Found>, SizingError> {
    match tries.ample.question.hosts.clone() {
        Hosts::Number(hosts) => Ok(vec![memory_of(tries, hosts, None)?]),
        Hosts::Given(hosts, memory) => {
            let smallest = memory_of(tries, hosts, None)?;
            let kept = tries.kept(&[(hosts, memory)], Engine::Full)?[0];
            let by = if tries.ample.in_parts() {
                parts::told(&tries.ample.parts, tries.ample.question.up(hosts))
            } else {
                "a full run".to_owned()
            };
            let given = tries.found((hosts, memory), kept, None, &by);
            tries.keep_series((hosts, memory))?;
            Ok(if (smallest.memory_mb - memory.mib()).abs() < 1.0 {
                vec![given]
            } else {
                vec![given, smallest]
            })
        }
        Hosts::Sizes(sizes) => sizes.into_iter().map(|size| hosts_of(tries, size, None)).collect(),
    }
}

/// The same with the advised settings: the smallest memory of as many hosts, or how many hosts of the first size that is enough with those of today.
fn with_advice(
    today: &Tries<'_>,
    advice: &[Advice],
    found: &[Found],
    runs: &dyn Runs,
) -> Result<Option<Found>, SizingError> {
    let Ample { fleet, question, .. } = today.ample;
    // One for each size of hosts, if hosts of several are asked for; where none is enough, the first.
    let place = match &question.hosts {
        Hosts::Number(_) | Hosts::Given(..) => 0,
        Hosts::Sizes(_) => found.iter().position(|found| found.kept).unwrap_or(0),
    };
    let Some(first) = found.get(place).filter(|_| advice.iter().any(Advice::changes)) else {
        return Ok(None);
    };
    let settings: Vec<_> =
        fleet.vms.iter().zip(advice).map(|(vm, advice)| advice.settings(&vm.settings)).collect();
    let fleet = fleet.with_settings(&settings);
    let hosts = match &question.hosts {
        Hosts::Number(hosts) | Hosts::Given(hosts, _) => Hosts::Number(*hosts),
        Hosts::Sizes(sizes) => Hosts::Sizes(sizes.iter().skip(place).take(1).copied().collect()),
    };
    let question = Question { hosts, ..question.clone() };
    let mut ample = Ample::measure(&fleet, &question, runs)?;
    // Promises are those of today: settings must not be better by promising less.
    let before: &Promises = &today.ample.promises;
    ample.promises.keep(before);
    // Looked at where today's settings were, and where its own are worst.
    ample.add_parts(today.ample.moments())?;
    let mut tries = Tries::new(ample);
    tries.series = Some(Series::default());
    let hint = Some(first).filter(|first| first.kept);
    match &question.hosts {
        Hosts::Number(hosts) | Hosts::Given(hosts, _) => {
            memory_of(&mut tries, *hosts, hint.map(|first| first.memory_mb)).map(Some)
        }
        Hosts::Sizes(sizes) => {
            let hint = hint.map(|first| first.hosts);
            sizes.first().map(|size| hosts_of(&mut tries, *size, hint)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use page_range::PageCount;

    use super::*;
    use crate::fleet::an_hour_of_three_vms;
    use crate::question::Risk;

    fn question(hosts: u32, spare: u32) -> Question {
        Question {
            hosts: Hosts::Number(hosts),
            spare,
            risk: Risk::default(),
            seeds: 1,
            threads: 2,
            step: Some(PageCount::from_mib(256)),
            full: true,
        }
    }

    fn answer(fleet: &Fleet, hosts: u32, spare: u32) -> Answer {
        size(fleet, &question(hosts, spare), None, false, "", &|_| ()).unwrap()
    }

    #[test]
    fn a_host_fails_at_the_worst_moment_and_its_vms_are_back_soon() {
        let fleet = an_hour_of_three_vms();
        // VM A works from the 20th minute on, and has all that it wants from the 30th on.
        assert!((1740.0..=2400.0).contains(&fleet.worst_moment_s()), "{}", fleet.worst_moment_s());
        let answer = answer(&fleet, 2, 1);
        let found = &answer.found[0];
        let failover = found.failover.as_ref().unwrap();
        assert!(found.kept);
        assert_eq!((failover.at_s, failover.not_started), (fleet.worst_moment_s(), 0));
        assert!((1..3).contains(&failover.restarted), "{failover:?}");
        assert!(failover.slowest_start_s <= 120.0, "{failover:?}");
        assert!(
            answer
                .sentences()
                .iter()
                .any(|sentence| sentence.starts_with("When a host fails at the worst moment"))
        );
    }

    #[test]
    fn a_vm_that_needs_much_to_start_makes_hosts_larger_only_when_one_fails_in_the_middle() {
        let mut fleet = an_hour_of_three_vms();
        // VM A starts with 5 GB, of which it gives most up when it has booted.
        let mut settings: Vec<_> = fleet.vms.iter().map(|vm| vm.settings).collect();
        settings[0].startup = PageCount::from_mib(5 << 10);
        settings[0].minimum = PageCount::from_mib(512);
        fleet = fleet.with_settings(&settings);
        let alone = answer(&fleet, 1, 0).found[0].clone();
        let with_failure = answer(&fleet, 2, 1).found[0].clone();
        assert!(alone.kept && with_failure.kept && alone.failover.is_none());
        // One host holds all in both; in one of them VM A comes when the others are at work.
        assert!(
            with_failure.memory_mb >= alone.memory_mb,
            "{} MB with a failure, {} MB without",
            with_failure.memory_mb,
            alone.memory_mb
        );
        assert_eq!(with_failure.failover.unwrap().not_started, 0);
    }

    #[test]
    fn a_vm_that_no_other_host_has_room_for_breaks_the_risk() {
        let mut fleet = an_hour_of_three_vms();
        // Static memory: nobody can give it up for others.
        let settings = [6 << 10, 1 << 10, 1 << 10]
            .map(|mib| balancing_policy::MemorySettings::fixed(PageCount::from_mib(mib)));
        fleet = fleet.with_settings(&settings);
        let small = PageCount::from_mib(8 << 10);
        let question = Question { hosts: Hosts::Given(2, small), ..question(2, 1) };
        let answer = size(&fleet, &question, None, false, "", &|_| ()).unwrap();
        let given = &answer.found[0];
        assert!(!given.kept);
        assert!(given.shortages.iter().any(|shortage| !shortage.started), "{:?}", given.shortages);
        assert!(answer.found[1].kept && answer.found[1].memory_mb > 8192.0);
    }

    #[test]
    fn of_several_sizes_each_answer_stands_out_and_is_red_where_it_is_not_enough() {
        let fleet = an_hour_of_three_vms();
        let sizes = [16, 2].map(|gb| PageCount::from_mib(gb << 10)).to_vec();
        let question = Question { hosts: Hosts::Sizes(sizes), ..question(1, 0) };
        let answer = size(&fleet, &question, None, false, "", &|_| ()).unwrap();
        assert_eq!(answer.found.iter().map(|found| found.kept).collect::<Vec<_>>(), [true, false]);
        let page = answer.page();
        assert!(page.contains("<p class=\"head\">One host of 16 GB is enough"), "{page}");
        assert!(
            page.contains(" of 2 GB are NOT enough") || page.contains(" of 2 GB is NOT enough"),
            "{page}"
        );
        assert_eq!(page.matches("<p class=\"head bad\">").count(), 1);
    }
}
