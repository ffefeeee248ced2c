//! Burn's visitors and mappers of parameters, across a type that is not known.
//!
//! Their methods are generic over the rank of a tensor, which no trait object can be. A parameter crosses as
//! [`Any`] and is the same type again on the other side.

use burn::module::{Flag, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Bool, Int, Tensor};
use std::any::Any;

/// A [`ModuleVisitor`] of any parameter.
pub(super) trait DynVisitor {
    fn param(&mut self, param: &dyn Any);
    fn enter(&mut self, name: &str, container_type: &str);
    fn exit(&mut self, name: &str, container_type: &str);
}

/// A [`ModuleMapper`] of any parameter, which comes back as the type that it went as.
pub(super) trait DynMapper {
    fn param(&mut self, param: Box<dyn Any>) -> Box<dyn Any>;
    fn enter(&mut self, name: &str, container_type: &str);
    fn exit(&mut self, name: &str, container_type: &str);
}

/// Burn's visitor on the side of the reader's type.
pub(super) struct ToVisitor<'a>(pub &'a mut dyn DynVisitor);

/// Burn's visitor on the side of the model.
pub(super) struct FromVisitor<'a, V>(pub &'a mut V);

/// Burn's mapper on the side of the reader's type.
pub(super) struct ToMapper<'a>(pub &'a mut dyn DynMapper);

/// Burn's mapper on the side of the model.
pub(super) struct FromMapper<'a, M>(pub &'a mut M);

impl ModuleVisitor for ToVisitor<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.param(param);
    }

    fn visit_int<const D: usize>(&mut self, param: &Param<Tensor<D, Int>>) {
        self.0.param(param);
    }

    fn visit_bool<const D: usize>(&mut self, param: &Param<Tensor<D, Bool>>) {
        self.0.param(param);
    }

    fn visit_flag(&mut self, flag: &Param<Flag>) {
        self.0.param(flag);
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit(name, container_type);
    }
}

impl ModuleMapper for ToMapper<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        through(self.0, param)
    }

    fn map_int<const D: usize>(&mut self, param: Param<Tensor<D, Int>>) -> Param<Tensor<D, Int>> {
        through(self.0, param)
    }

    fn map_bool<const D: usize>(
        &mut self,
        param: Param<Tensor<D, Bool>>,
    ) -> Param<Tensor<D, Bool>> {
        through(self.0, param)
    }

    fn map_flag(&mut self, flag: Param<Flag>) -> Param<Flag> {
        through(self.0, flag)
    }

    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.0.enter(name, container_type);
    }

    fn exit_module(&mut self, name: &str, container_type: &str) {
        self.0.exit(name, container_type);
    }
}

fn through<P: 'static>(mapper: &mut dyn DynMapper, param: P) -> P {
    let mapped = mapper.param(Box::new(param)).downcast();
    *mapped.unwrap_or_else(|_| unreachable!("a mapper gives back the type that it took"))
}

/// Ranks that Burn's tensors have in modules.
macro_rules! for_ranks {
    ($macro:ident) => {
        $macro!(1);
        $macro!(2);
        $macro!(3);
        $macro!(4);
        $macro!(5);
        $macro!(6);
    };
}

impl<V: ModuleVisitor> DynVisitor for FromVisitor<'_, V> {
    fn param(&mut self, param: &dyn Any) {
        macro_rules! visit {
            ($rank:literal) => {
                if let Some(float) = param.downcast_ref::<Param<Tensor<$rank>>>() {
                    return self.0.visit_float(float);
                }
                if let Some(int) = param.downcast_ref::<Param<Tensor<$rank, Int>>>() {
                    return self.0.visit_int(int);
                }
                if let Some(bool) = param.downcast_ref::<Param<Tensor<$rank, Bool>>>() {
                    return self.0.visit_bool(bool);
                }
            };
        }
        for_ranks!(visit);
        match param.downcast_ref() {
            Some(flag) => self.0.visit_flag(flag),
            None => unreachable!("a parameter of more than 6 axes"),
        }
    }

    fn enter(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}

impl<M: ModuleMapper> DynMapper for FromMapper<'_, M> {
    fn param(&mut self, mut param: Box<dyn Any>) -> Box<dyn Any> {
        macro_rules! map {
            ($rank:literal) => {
                param = match param.downcast::<Param<Tensor<$rank>>>() {
                    Ok(float) => return Box::new(self.0.map_float(*float)),
                    Err(param) => param,
                };
                param = match param.downcast::<Param<Tensor<$rank, Int>>>() {
                    Ok(int) => return Box::new(self.0.map_int(*int)),
                    Err(param) => param,
                };
                param = match param.downcast::<Param<Tensor<$rank, Bool>>>() {
                    Ok(bool) => return Box::new(self.0.map_bool(*bool)),
                    Err(param) => param,
                };
            };
        }
        for_ranks!(map);
        match param.downcast() {
            Ok(flag) => Box::new(self.0.map_flag(*flag)),
            Err(_) => unreachable!("a parameter of more than 6 axes"),
        }
    }

    fn enter(&mut self, name: &str, container_type: &str) {
        self.0.enter_module(name, container_type);
    }

    fn exit(&mut self, name: &str, container_type: &str) {
        self.0.exit_module(name, container_type);
    }
}
