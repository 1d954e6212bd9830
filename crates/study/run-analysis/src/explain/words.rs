//! The rules of the policies, in plain words.

/// What a decision's rule means, for a VM. A policy that is not known here speaks for itself: by its rule's name.
#[must_use]
pub fn rule(policy: &str, rule: &str) -> Option<&'static str> {
    let of_policy = match policy {
        "hyperv" | "hyperv-2012" => match rule {
            "in-band" => "Its pressure is within its band: it is left alone.",
            "at-maximum" => "Its pressure is above its band, and it has all that it can be given.",
            "nearly-enough" => {
                "Its pressure is above its band, but what is missing to its need and buffer is less than is moved at a time."
            }
            "short" => {
                "Its pressure has left the band at the top: it is brought to what it needs and its buffer."
            }
            "surplus" => {
                "It has more than it needs. Nobody else needs it now, and it has not been so for the hold time: it is left alone."
            }
            "reclaim" => "It has had more than it needs for the hold time: what is too much is taken back.",
            "donor" => "Others need memory, and it has more than it needs: it gives some.",
            "shortage" => {
                "There is not enough for everyone's needs and buffers: all give way together, the buffer first, low weights more."
            }
            _ => return common(rule),
        },
        "deflation" => match rule {
            "deflate" => {
                "Memory is lacking for a start: everyone gives in proportion to its size above its minimum."
            }
            "reinflate" => "Memory is free: everyone grows in proportion to what it is below its maximum.",
            "keep" => "No memory is lacking, and none is free.",
            _ => return common(rule),
        },
        "auto-ballooning" => match rule {
            "fill-balloon" => "The host is under pressure, and its guest is not: its balloon is filled.",
            "empty-balloon" => "Its guest is under pressure, and the host is not: its balloon is emptied.",
            "keep" => "Neither the host nor its guest is under pressure, or both are: nothing is moved.",
            _ => return common(rule),
        },
        "meb" => match rule {
            "grow" => "It has less than its working set and its share: it is given memory.",
            "shrink" => {
                "It has more than its working set and its share, or others miss more for want of this memory: it gives."
            }
            "keep" => "It has its working set and its share, or what saves most misses.",
            _ => return common(rule),
        },
        "predictive-band" => match rule {
            "give" => {
                "It has less than its forecast need and margin, or than its comfort while that is free: it is given memory."
            }
            "keep" => "It has what its forecast asks for: it is left alone.",
            "donor" => {
                "Others lack memory, and it has most beyond its comfort, or beyond what everyone keeps: it gives some."
            }
            "surplus" => {
                "It has had more than its comfort for the hold time: what is too much is taken back."
            }
            _ => return common(rule),
        },
        "proxmox" => match rule {
            "grow" => "The host has used less than its goal: this VM's share of what is left is given to it.",
            "shrink" => {
                "The host has used more than its goal: this VM's share of what is too much is taken from it."
            }
            "keep" => "The host is at its goal, or this VM's share asks for no change.",
            _ => return common(rule),
        },
        "mom" => match rule {
            "grow" => {
                "The host has 20 % free or more: every guest grows, by 5 % or to what it uses and 20 %."
            }
            "shrink" => "The host has less than 20 % free: every guest shrinks, by 5 % at most.",
            "keep" => "The change would be too small to be worth it, or in the wrong direction.",
            _ => return common(rule),
        },
        "squeezed" => match rule {
            "shrink" => "It has more than its share between minimum and maximum: what is too much is taken.",
            "grow" => {
                "It has less than its share between minimum and maximum, and everyone has shrunk: it grows."
            }
            "grows-later" => {
                "It has less than its share between minimum and maximum; first the others must shrink."
            }
            "at-target" => "It has its share between minimum and maximum.",
            "stuck" => "It has not moved for 5 s: it is left out of this run.",
            "uncooperative" => "It has not moved for 20 s: it is reported, and what it holds counts as lost.",
            _ => return common(rule),
        },
        "senpai" => match rule {
            "back-off" => {
                "Its applications have stalled for want of memory: it is given more, the more the longer."
            }
            "probe" => {
                "Its applications have hardly stalled: a little is taken, to see what it can do without."
            }
            "keep" => "Its applications have stalled as much as they may.",
            _ => return common(rule),
        },
        "esx" => match rule {
            "granted" => {
                "It pays most for what it has (shares over what it holds, idle memory taxed): memory is given to it."
            }
            "revoked" => {
                "It pays least for what it has (shares over what it holds, idle memory taxed): memory is taken from it."
            }
            "keep" => "Neither does it pay least when memory is taken, nor most when it is given.",
            _ => return common(rule),
        },
        "static" => match rule {
            "keeps-startup" => "Everyone keeps the startup RAM.",
            _ => return common(rule),
        },
        _ => return common(rule),
    };
    Some(of_policy)
}

/// Rules that mean the same wherever they are found.
fn common(rule: &str) -> Option<&'static str> {
    Some(match rule {
        "static" => "Its memory is static.",
        "starting" | "started" => "Its startup RAM is on its way to it.",
        "set-aside" => "It does not answer: it is set aside and keeps what it has.",
        "no-report" => "Its guest has not reported yet: it keeps what it has.",
        "cannot-move" => "Nothing can be given to it or taken from it now: it keeps what it has.",
        "no-balloon" => "It takes no part in Dynamic Memory now: it keeps what it has.",
        _ => return None,
    })
}

/// What the state of the host means that a round found.
#[must_use]
pub fn state(policy: &str, rule: &str) -> Option<&'static str> {
    Some(match (policy, rule) {
        ("hyperv" | "hyperv-2012", "enough") => "there is enough for everyone's needs, buffers and the stock",
        ("hyperv" | "hyperv-2012", "contention") => {
            "there is enough for everyone, but it must first be taken from those who have too much"
        }
        ("hyperv" | "hyperv-2012", "shortage") => "there is not enough for everyone's needs and buffers",
        ("deflation", "deflating") => "memory is lacking for a start",
        ("deflation", "reinflating") => "memory is free that VMs could have",
        ("deflation", "at-rest") => "no memory is lacking, and none is free",
        ("auto-ballooning", "none") => "the host is not under pressure",
        ("auto-ballooning", "low") => "the host is under low pressure: balloons are filled by a step",
        ("auto-ballooning", "medium") => {
            "the host is under medium pressure: balloons are filled by two steps"
        }
        ("auto-ballooning", "critical") => {
            "the host is under critical pressure: balloons are filled by four steps"
        }
        ("meb", "enough") => "there is enough for everyone's working set",
        ("meb", "least-misses") => "working sets do not fit: memory is where it saves most misses",
        ("meb", "between-balancings") => "what was decided last still holds",
        ("predictive-band", "enough") => "there is enough for everyone's comfort",
        ("predictive-band", "tight") => {
            "there is enough for everyone's need and margin, not for all of the comfort"
        }
        ("predictive-band", "shortage") => "there is not enough for everyone's needs and margins",
        ("proxmox", "grow") => "the host has used less than its goal",
        ("proxmox", "shrink") => "the host has used more than its goal",
        ("proxmox", "at-goal") => "the host has used what it should",
        ("mom", "grow") => "the host has 20 % free or more",
        ("mom", "shrink") => "the host has less than 20 % free",
        ("squeezed", "shrinking") => "those above their share shrink",
        ("squeezed", "growing") => "those below their share grow",
        ("squeezed", "at-rest") => "everyone has its share",
        ("senpai", "probing") => "everyone is probed",
        ("senpai", "short") => "there is less than the VMs that stall should be given",
        ("esx", "high") => "free memory is high: nothing is reclaimed",
        ("esx", "soft") => "free memory is soft: memory is reclaimed by ballooning",
        ("esx", "hard") => "free memory is hard: memory is reclaimed by all means",
        ("esx", "low") => "free memory is low: memory is reclaimed by all means, and nobody grows",
        _ => return None,
    })
}

/// A decision's numbers as people read them: `demand_mib=509.586` is "demand 509.6 MB".
pub fn inputs(text: &str) -> String {
    let one = |input: &str| -> Option<String> {
        let (name, value) = input.split_once('=')?;
        let number: f64 = value.parse().ok()?;
        let units = [("_mib", " MB"), ("_percent", " %"), ("_seconds", " s"), ("_us", " µs")];
        let (name, unit) = units
            .iter()
            .find_map(|(ending, unit)| Some((name.strip_suffix(ending)?, *unit)))
            .unwrap_or((name, ""));
        let name = name.replace('_', " ");
        let digits = if number.fract() == 0.0 {
            0
        } else if number.abs() < 10.0 {
            3
        } else {
            1
        };
        // A λ or a share may be large; no unit needs more than these digits.
        Some(format!("{name} {number:.digits$}{unit}"))
    };
    text.split(',').map(|input| one(input).unwrap_or_else(|| input.to_owned())).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_units() {
        assert_eq!(
            inputs("demand_mib=509.586,pressure_percent=82.994,weight=5000.000,lambda=0.118"),
            "demand 509.6 MB, pressure 83.0 %, weight 5000, lambda 0.118"
        );
        assert_eq!(inputs("odd"), "odd");
    }

    #[test]
    fn rules_that_all_have_are_known_of_any_policy() {
        assert!(rule("mine", "no-report").is_some());
        assert!(rule("mine", "short").is_none());
        assert!(rule("hyperv", "short").is_some());
    }
}
