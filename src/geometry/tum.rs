//! Trajectories as text, in the format of the TUM RGB-D benchmark that `evo` and most tools read: one pose per line,
//! `stamp tx ty tz qx qy qz qw`, seconds and metres, `#` starts a comment.

use std::fmt::Write;
use std::path::Path;

use nalgebra::Vector3;

use super::{Se3, So3, Trajectory};
use crate::{Error, Result, Stamp};

const LINE: &str = "`stamp tx ty tz qx qy qz qw` (seconds, metres, unit quaternion), stamps increasing";

impl Trajectory {
    /// Reads a TUM file; stamps are exact to the nanosecond.
    ///
    /// # Errors
    /// When the file cannot be read, or a line is not a finite pose with a stamp after the one before.
    pub fn read_tum(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
        let mut trajectory = Trajectory::default();
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !is_comment(line)) {
            let added = pose_of(line).and_then(|(stamp, pose)| trajectory.push(stamp, pose).ok());
            added.ok_or_else(|| Error::format(path, LINE, format!("line {}: {line:?}", index + 1)))?;
        }
        Ok(trajectory)
    }

    /// Writes a TUM file, see [`tum_text`].
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_tum(&self, path: &Path) -> Result<()> {
        std::fs::write(path, self.to_tum()).map_err(Error::io("write", path))
    }

    /// The text that [`Trajectory::write_tum`] writes.
    pub fn to_tum(&self) -> String {
        tum_text(self.poses().iter().copied())
    }
}

/// Stamped poses in the TUM format, in the order given: exact stamps, nine decimals of position, sixteen of the
/// quaternion.
pub fn tum_text(poses: impl IntoIterator<Item = (Stamp, Se3)>) -> String {
    let mut text = String::from("# stamp tx ty tz qx qy qz qw\n");
    for (stamp, pose) in poses {
        let (t, [x, y, z, w]) = (pose.translation, pose.rotation.to_xyzw());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{stamp} {:.9} {:.9} {:.9} {x:.16} {y:.16} {z:.16} {w:.16}", t.x, t.y, t.z);
    }
    text
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn pose_of(line: &str) -> Option<(Stamp, Se3)> {
    let mut words = line.split_whitespace();
    let stamp = words.next()?.parse().ok()?;
    let numbers: Vec<f64> = words.map(|word| word.parse().ok()).collect::<Option<_>>()?;
    let [tx, ty, tz, qx, qy, qz, qw] = numbers.try_into().ok()?;
    Some((stamp, Se3::new(So3::from_xyzw(qx, qy, qz, qw)?, Vector3::new(tx, ty, tz))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Trajectory> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("poses.tum");
        std::fs::write(&path, text).unwrap();
        Trajectory::read_tum(&path)
    }

    #[test]
    fn what_is_written_is_read_again() {
        let pose = Se3::new(So3::exp(&Vector3::new(0.3, -2.0, 1.0)), Vector3::new(1.25, -1e3, 1e-9));
        let poses =
            vec![(Stamp::from_nanos(1_305_031_102_175_304_123), pose), (Stamp::from_parts(1_305_031_103, 0), pose)];
        let written = Trajectory::new(poses).unwrap();
        let again = read(&written.to_tum()).unwrap();
        assert_eq!(again.poses()[0].0, written.poses()[0].0);
        assert!(again.poses()[0].1.local(pose).norm() < 1e-12);
        assert_eq!(again.to_tum(), written.to_tum());
    }

    #[test]
    fn bad_lines_are_shown_with_their_number() {
        let good = "# comment\n\n1.5 0 0 0 0 0 0 1\n";
        assert_eq!(read(good).unwrap().len(), 1);
        let cases = [
            "2 0 0 0 0 0 0",
            "2 0 0 0 0 0 0 0",
            "2 nan 0 0 0 0 0 1",
            "1.5 0 0 0 0 0 0 1",
            "2 0 0 0 0 0 0 1 9",
            "x 0 0 0 0 0 0 1",
        ];
        for line in cases {
            let error = read(&format!("{good}{line}\n")).unwrap_err().to_string();
            let expected = format!("poses.tum: expected {LINE}, found line 4: {line:?}");
            assert!(error.ends_with(&expected), "{error}");
        }
    }
}
