//! The law that only full experts drop tokens.

use crate::laws::host::Table;
use crate::laws::law::{applies, ensure};
use crate::laws::{Case, Held, Law, Subject};

pub(super) const LAW: Law = Law {
    name: "capacity",
    sentence: "an expert drops a token only when it is full, and none takes more than a full one, in each \
               sequence",
    check,
    if_never: "",
};

fn check(subject: &Subject<'_>, case: &Case) -> Held {
    let router = subject.build(case)?;
    let table = Table::read(&router.route(case.input(case.x(&subject.device))))?;
    applies(table.drops(), "no token is dropped")?;
    let size = table.group_size();
    for group in 0..table.n_groups {
        let mut kept = vec![0usize; table.n_experts];
        let mut full = vec![false; table.n_experts];
        for entry in table.rows[group * size..(group + 1) * size]
            .iter()
            .flatten()
        {
            if entry.kept {
                kept[entry.expert] += 1
            } else {
                full[entry.expert] = true
            }
        }
        let full = (0..table.n_experts).filter(|&e| full[e]);
        for expert in full {
            let most = kept.iter().max().copied().unwrap_or(0);
            ensure(kept[expert] == most, || {
                format!(
                    "in sequence {group} expert {expert} drops tokens and keeps {}, while another keeps {most}",
                    kept[expert]
                )
            })?;
        }
    }
    Ok(())
}
