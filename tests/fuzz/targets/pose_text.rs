//! Text files of poses: g2o graphs and TUM trajectories.

use std::path::Path;

use vloc::geometry::Trajectory;
use vloc::graph::G2o;

pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    graph(&text);
    trajectory(&text);
}

fn graph(text: &str) {
    let Ok(graph) = G2o::parse(text, Path::new("graph.g2o")) else { return };
    let again = G2o::parse(&graph.to_text(), Path::new("graph.g2o")).expect("what was written");
    assert_eq!((again.pose_count(), again.edge_count()), (graph.pose_count(), graph.edge_count()));
    drop(graph.to_graph());
    drop(graph.isotropic().and_then(|graph| graph.to_graph()));
}

fn trajectory(text: &str) {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("a file");
    let Ok(trajectory) = Trajectory::read_tum(file.path()) else { return };
    assert!(trajectory.poses().iter().all(|(_, pose)| pose.is_finite()));
    std::fs::write(file.path(), trajectory.to_tum()).expect("a file");
    let again = Trajectory::read_tum(file.path()).expect("what was written");
    assert_eq!(again.len(), trajectory.len());
}
