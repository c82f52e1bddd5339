//! The names of the topics (docs/mqtt.md).

/// Names below `watchfire/<site>`.
#[derive(Clone, Debug)]
pub struct Topics {
    prefix: String,
    site: String,
    box_name: String,
}

impl Topics {
    pub fn new(site: &str, box_name: &str) -> Self {
        Self {
            prefix: format!("watchfire/{site}"),
            site: site.into(),
            box_name: box_name.into(),
        }
    }

    pub fn site(&self) -> &str {
        &self.site
    }

    pub fn box_name(&self) -> &str {
        &self.box_name
    }

    pub fn available(&self) -> String {
        format!("{}/box/{}/available", self.prefix, self.box_name)
    }

    pub fn box_status(&self) -> String {
        format!("{}/box/{}/status", self.prefix, self.box_name)
    }

    pub fn camera_status(&self, camera: &str) -> String {
        format!("{}/camera/{camera}/status", self.prefix)
    }

    pub fn alert(&self, camera: &str, kind: &str) -> String {
        format!("{}/camera/{camera}/alert/{kind}", self.prefix)
    }

    pub fn active(&self, camera: &str, kind: &str) -> String {
        format!("{}/camera/{camera}/active/{kind}", self.prefix)
    }

    /// Whether this is a topic that says of a kind whether alerts are open.
    pub fn is_active(&self, topic: &str) -> bool {
        let below = topic
            .strip_prefix(&self.prefix)
            .and_then(|t| t.strip_prefix("/camera/"));
        below.is_some_and(|t| t.split('/').nth(1) == Some("active"))
    }

    pub fn emotion(&self, camera: &str) -> String {
        format!("{}/camera/{camera}/emotion", self.prefix)
    }

    pub fn levels(&self, camera: &str) -> String {
        format!("{}/camera/{camera}/levels", self.prefix)
    }

    pub fn snapshot(&self, camera: &str, kind: &str) -> String {
        format!("{}/camera/{camera}/snapshot/{kind}", self.prefix)
    }

    /// `name` is `reload`, `snapshot` or `camera/<id>/enable`.
    pub fn command(&self, name: &str) -> String {
        format!("{}/command/{name}", self.prefix)
    }

    /// The camera that a topic of ours is about.
    pub fn camera_of<'a>(&self, topic: &'a str) -> Option<&'a str> {
        if let Some(camera) = super::home_assistant::camera_of(&self.site, topic) {
            return Some(camera);
        }
        topic
            .strip_prefix(&self.prefix)?
            .strip_prefix("/camera/")?
            .split('/')
            .next()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let t = Topics::new("gatehouse", "edge-1");
        assert_eq!(t.available(), "watchfire/gatehouse/box/edge-1/available");
        assert_eq!(t.alert("yard", "siren"), "watchfire/gatehouse/camera/yard/alert/siren");
        assert_eq!(t.camera_of(&t.active("yard", "siren")), Some("yard"));
        assert_eq!(t.camera_of(&t.available()), None);
        assert!(t.is_active(&t.active("yard", "siren")) && t.is_active(&t.active("active", "siren")));
        assert!(!t.is_active(&t.camera_status("active")) && !t.is_active(&t.alert("active", "siren")));
        assert_eq!(t.command("reload"), "watchfire/gatehouse/command/reload");
    }
}
