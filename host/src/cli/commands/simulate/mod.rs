//! `simulate`: compares the policy of the real scheduler with others, in virtual time.

mod compared;
mod json;
mod table;

use disperse_scheduler::sim::{Preset, play_seeds};

use self::compared::Compared;
use crate::{
    cli::{
        args::SimulateArgs,
        console::{Failure, exit, print},
    },
    report::Format,
};

pub(crate) fn simulate(args: &SimulateArgs) -> Result<u8, Failure> {
    let worlds = args.worlds();
    // All scenarios are checked before the first one runs, so that an error prints no results.
    for preset in &worlds {
        preset.world.check().map_err(|error| {
            let what = match preset.name {
                "" => "invalid scenario".to_owned(),
                name => format!("invalid change of the scenario `{name}`"),
            };
            Failure::usage(what).because(error)
        })?;
    }
    let compared = worlds.into_iter().map(|preset| compare(preset, args));
    let compared = compared.collect::<Result<Vec<_>, _>>()?;
    print(&match args.format {
        Format::Text => table::text(&compared, args.is_overview()),
        Format::Json => compared.iter().flat_map(json::lines).collect(),
    })?;
    Ok(exit::DONE)
}

fn compare(preset: Preset, args: &SimulateArgs) -> Result<Compared, Failure> {
    let series = args.policies().into_iter().map(|(name, policy)| {
        let series = play_seeds(&preset.world, &preset.under(policy), args.seeds);
        let unusable = || Failure::usage(format!("invalid policy `{name}`"));
        Ok((name, series.map_err(|error| unusable().because(error))?))
    });
    let series = series.collect::<Result<_, _>>()?;
    Ok(Compared {
        preset,
        seeds: args.seeds,
        series,
    })
}
