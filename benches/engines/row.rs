//! The lines of the table.

use crate::common::{Result, quantile};

/// Prints one figure with what it is and, where there is one, its target.
pub fn row(what: &str, measured: &str, target: &str) {
    let target = if target.is_empty() { String::new() } else { format!("   target {target}") };
    println!("  {what:<60} {measured}{target}");
}

/// Milliseconds as `p50 … p99 … max …`.
pub fn spread(values: &mut [f64]) -> String {
    if values.is_empty() {
        return "nothing was measured".into();
    }
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|part| quantile(values, part));
    format!("p50 {p50:.0} ms, p99 {p99:.0} ms, max {max:.0} ms of {}", values.len())
}

/// How busy the machine is, as Linux tells it.
pub fn load_average() -> Result<String> {
    let told = std::fs::read_to_string("/proc/loadavg")?;
    Ok(told.split(' ').take(3).collect::<Vec<_>>().join(" "))
}
