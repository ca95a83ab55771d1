"""Who is left out or labeled wrongly: AIF360 measures, the gate closes on evidence of harm, a report shows it."""
