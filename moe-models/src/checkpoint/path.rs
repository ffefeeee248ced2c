/// The path of the parameter that a visitor is at, without the names of variants: a run-time choice
/// between routers or families is not part of a parameter's name.
#[derive(Debug, Default)]
pub(super) struct ParameterPath(Vec<Option<String>>);

impl ParameterPath {
    pub(super) fn enter(&mut self, name: &str, container_type: &str) {
        let is_variant = container_type.starts_with("Enum:");
        self.0.push((!is_variant).then(|| name.to_owned()));
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    pub(super) fn join(&self) -> String {
        let names: Vec<&str> = self.0.iter().flatten().map(String::as_str).collect();
        names.join(".")
    }
}
