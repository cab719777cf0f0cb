"""The life of a job: acceptance, attempts, dispatch, interventions, retention."""
