//! Names of parameters.

/// Place of a visitor in a module: names, with the types that hold them.
#[derive(Debug, Default)]
pub struct ParameterPath(Vec<Step>);

#[derive(Debug)]
struct Step {
    name: String,
    holder: String,
}

impl ParameterPath {
    /// Goes into a field, an element or a variant, as a visitor is told.
    pub fn enter(&mut self, name: &str, container_type: &str) {
        self.0.push(Step {
            name: name.to_owned(),
            holder: container_type.to_owned(),
        });
    }

    /// Goes out again.
    pub fn exit(&mut self) {
        self.0.pop();
    }

    /// The parameter's name, without those of variants: a run-time choice between routers or families is
    /// not part of it.
    pub fn join(&self) -> String {
        let steps = self.0.iter();
        let names = steps.filter(|step| !step.holder.starts_with("Enum:"));
        let names: Vec<&str> = names.map(|step| step.name.as_str()).collect();
        names.join(".")
    }

    /// Tells whether the parameter of `rank` axes here is a matrix of a decoder that tokens are multiplied by:
    /// of experts, attention or head.
    pub fn is_product_weight(&self, rank: usize) -> bool {
        const ATTENTIONS: [&str; 2] = [
            "Struct:GroupedQueryAttention",
            "Struct:MultiHeadLatentAttention",
        ];
        match self.0.as_slice() {
            [.., stack] if stack.holder == "Struct:Experts" => rank == 3,
            [.., layer, weight] if weight.holder == "Struct:Linear" => {
                rank == 2 && (layer.name == "head" || ATTENTIONS.contains(&layer.holder.as_str()))
            }
            _ => false,
        }
    }

    /// Tells whether this is a parameter of an output head.
    pub fn is_head(&self) -> bool {
        matches!(self.0.as_slice(), [.., layer, _] if layer.name == "head")
    }

    /// Tells whether the matrix here is one that tokens are multiplied by, and never its transpose: blocks run along
    /// the inputs. Attention in latents turns the keys' half of `kv_b_proj`.
    pub fn is_block_weight(&self, rank: usize) -> bool {
        let turned = |step: &Step| step.name == "kv_b_proj";
        self.is_product_weight(rank) && !self.0.iter().any(turned)
    }
}
