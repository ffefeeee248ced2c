//! A router of another crate as a module.

use super::bridge::{DynMapper, DynVisitor, FromMapper, FromVisitor, ToMapper, ToVisitor};
use crate::{Causality, Load, Router, RouterInput, Routing};
use burn::module::{
    Content, Devices, DisplaySettings, Module, ModuleDisplay, ModuleDisplayDefault, ModuleMapper,
    ModuleVisitor,
};
use burn::tensor::Device;

/// A router of another crate. Its parameters have the names that they have in its own type.
#[derive(Debug)]
pub struct OutsideRouter(Box<dyn DynRouter>);

/// A [`Router`] whose type is not known.
trait DynRouter: Send + Sync + std::fmt::Debug {
    fn copy(&self) -> Box<dyn DynRouter>;
    fn route(&self, input: RouterInput) -> Routing;
    fn causality(&self) -> Causality;
    fn competes(&self) -> bool;
    fn advance(self: Box<Self>, load: &Load) -> Box<dyn DynRouter>;
    fn collect_devices(&self, devices: Devices) -> Devices;
    fn fork(self: Box<Self>, device: &Device) -> Box<dyn DynRouter>;
    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn DynRouter>;
    fn train(self: Box<Self>) -> Box<dyn DynRouter>;
    fn valid(&self) -> Box<dyn DynRouter>;
    fn materialize(self: Box<Self>) -> Box<dyn DynRouter>;
    fn visit(&self, visitor: &mut dyn DynVisitor);
    fn map(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynRouter>;
    fn format(&self, settings: DisplaySettings) -> String;
}

impl<R: Router + Sync + 'static> DynRouter for R {
    fn copy(&self) -> Box<dyn DynRouter> {
        Box::new(self.clone())
    }

    fn route(&self, input: RouterInput) -> Routing {
        Router::route(self, input)
    }

    fn causality(&self) -> Causality {
        Router::causality(self)
    }

    fn competes(&self) -> bool {
        Router::competes(self)
    }

    fn advance(self: Box<Self>, load: &Load) -> Box<dyn DynRouter> {
        Box::new(Router::advance(*self, load))
    }

    fn collect_devices(&self, devices: Devices) -> Devices {
        Module::collect_devices(self, devices)
    }

    fn fork(self: Box<Self>, device: &Device) -> Box<dyn DynRouter> {
        Box::new(Module::fork(*self, device))
    }

    fn to_device(self: Box<Self>, device: &Device) -> Box<dyn DynRouter> {
        Box::new(Module::to_device(*self, device))
    }

    fn train(self: Box<Self>) -> Box<dyn DynRouter> {
        Box::new(Module::train(*self))
    }

    fn valid(&self) -> Box<dyn DynRouter> {
        Box::new(Module::valid(self))
    }

    fn materialize(self: Box<Self>) -> Box<dyn DynRouter> {
        Box::new(Module::materialize(*self))
    }

    fn visit(&self, visitor: &mut dyn DynVisitor) {
        Module::visit(self, &mut ToVisitor(visitor));
    }

    fn map(self: Box<Self>, mapper: &mut dyn DynMapper) -> Box<dyn DynRouter> {
        Box::new(Module::map(*self, &mut ToMapper(mapper)))
    }

    fn format(&self, settings: DisplaySettings) -> String {
        ModuleDisplay::format(self, settings)
    }
}

impl OutsideRouter {
    /// A router behind a type that all routers of other crates share.
    pub fn new<R: Router + Sync + 'static>(router: R) -> Self {
        Self(Box::new(router))
    }
}

impl Clone for OutsideRouter {
    fn clone(&self) -> Self {
        Self(self.0.copy())
    }
}

impl Router for OutsideRouter {
    fn route(&self, input: RouterInput) -> Routing {
        self.0.route(input)
    }

    fn causality(&self) -> Causality {
        self.0.causality()
    }

    fn competes(&self) -> bool {
        self.0.competes()
    }

    fn advance(self, load: &Load) -> Self {
        Self(self.0.advance(load))
    }
}

impl Module for OutsideRouter {
    fn collect_devices(&self, devices: Devices) -> Devices {
        self.0.collect_devices(devices)
    }

    fn fork(self, device: &Device) -> Self {
        Self(self.0.fork(device))
    }

    fn to_device(self, device: &Device) -> Self {
        Self(self.0.to_device(device))
    }

    fn train(self) -> Self {
        Self(self.0.train())
    }

    fn valid(&self) -> Self {
        Self(self.0.valid())
    }

    fn materialize(self) -> Self {
        Self(self.0.materialize())
    }

    fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        self.0.visit(&mut FromVisitor(visitor));
    }

    fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        Self(self.0.map(&mut FromMapper(mapper)))
    }
}

impl ModuleDisplayDefault for OutsideRouter {
    fn content(&self, content: Content) -> Option<Content> {
        Some(content)
    }

    fn num_params(&self) -> usize {
        Module::num_params(self)
    }
}

impl ModuleDisplay for OutsideRouter {
    fn format(&self, settings: DisplaySettings) -> String {
        self.0.format(settings)
    }
}
