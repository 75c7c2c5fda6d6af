//! Classes of pods: same profile, same shape, same answers.

use std::collections::HashMap;
use std::sync::Arc;

use crate::framework::Evaluation;
use crate::model::PodShape;
use crate::queue::ClassId;

/// Memory that cached evaluations may take, in bytes. With 5,000 nodes it holds some 100 classes.
const CACHE_BYTES: usize = 8 << 20;
/// Cached evaluations at least, however large the cluster is.
const CACHE_MIN: usize = 4;
/// Cached evaluations at most: the one to drop is searched for.
const CACHE_MAX: usize = 128;

#[derive(Debug)]
struct Class {
    profile: usize,
    shape: Arc<PodShape>,
    /// Pods of this class that wait.
    pods: usize,
    evaluation: Option<Box<Evaluation>>,
    used: u64,
}

/// The classes of the waiting pods, and of recent ones: a job's next pod finds its class again.
#[derive(Debug, Default)]
pub(super) struct ClassTable {
    classes: Vec<Option<Class>>,
    free: Vec<ClassId>,
    by_shape: HashMap<(usize, Arc<PodShape>), ClassId>,
    cached: Vec<ClassId>,
    /// An emptied evaluation, whose memory the next one takes over.
    spare: Option<Box<Evaluation>>,
    clock: u64,
}

impl ClassTable {
    /// The class of a pod, which now has one more pod.
    pub(super) fn join(&mut self, profile: usize, shape: PodShape) -> ClassId {
        let key = (profile, Arc::new(shape));
        if let Some(&id) = self.by_shape.get(&key) {
            if let Some(class) = self.get_mut(id) {
                class.pods += 1;
            }
            return id;
        }
        let shape = Arc::clone(&key.1);
        let class = Some(Class {
            profile,
            shape,
            pods: 1,
            evaluation: None,
            used: 0,
        });
        let id = match self.free.pop() {
            Some(id) => {
                self.classes[id.0 as usize] = class;
                id
            }
            None => {
                self.classes.push(class);
                ClassId((self.classes.len() - 1) as u32)
            }
        };
        self.by_shape.insert(key, id);
        id
    }

    /// A pod of the class is gone. The class itself goes with its cached evaluation.
    pub(super) fn leave(&mut self, id: ClassId) {
        let Some(class) = self.get_mut(id) else {
            return;
        };
        class.pods = class.pods.saturating_sub(1);
        if class.pods == 0 && class.evaluation.is_none() {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: ClassId) {
        if let Some(class) = self.classes.get_mut(id.0 as usize).and_then(Option::take) {
            self.by_shape.remove(&(class.profile, class.shape));
            self.free.push(id);
        }
    }

    fn get_mut(&mut self, id: ClassId) -> Option<&mut Class> {
        self.classes.get_mut(id.0 as usize)?.as_mut()
    }

    /// The profile and shape of a class.
    pub(super) fn get(&self, id: ClassId) -> Option<(usize, &Arc<PodShape>)> {
        let class = self.classes.get(id.0 as usize)?.as_ref()?;
        Some((class.profile, &class.shape))
    }

    /// Lends out the evaluation of a class; to be given back with [`Self::give_back`].
    pub(super) fn lend(&mut self, id: ClassId) -> Box<Evaluation> {
        let held = self.get_mut(id).and_then(|class| class.evaluation.take());
        if held.is_some() {
            self.cached.retain(|&other| other != id);
        }
        held.or_else(|| self.spare.take()).unwrap_or_default()
    }

    /// Takes an evaluation back and drops the least recently used ones beyond the limit.
    pub(super) fn give_back(&mut self, id: ClassId, evaluation: Box<Evaluation>) {
        let limit = (CACHE_BYTES / evaluation.bytes().max(1)).clamp(CACHE_MIN, CACHE_MAX);
        self.clock += 1;
        let used = self.clock;
        if let Some(class) = self.get_mut(id) {
            class.evaluation = Some(evaluation);
            class.used = used;
            self.cached.push(id);
        }
        while self.cached.len() > limit {
            let oldest = (self.cached.iter().enumerate())
                .min_by_key(|&(_, &id)| {
                    self.classes[id.0 as usize]
                        .as_ref()
                        .map_or(0, |class| class.used)
                })
                .map(|(place, _)| place);
            let Some(place) = oldest else { break };
            let id = self.cached.swap_remove(place);
            self.reset(id);
        }
    }

    /// Drops what is cached for a class.
    pub(super) fn reset(&mut self, id: ClassId) {
        self.cached.retain(|&other| other != id);
        let Some(class) = self.get_mut(id) else {
            return;
        };
        let evaluation = class.evaluation.take();
        let unused = class.pods == 0;
        if let Some(mut evaluation) = evaluation {
            evaluation.clear();
            self.spare = Some(evaluation);
        }
        if unused {
            self.remove(id);
        }
    }
}

#[cfg(test)]
mod tests;
