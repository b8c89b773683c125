skip = Skip to content
language = Language
theme = Switch between light and dark theme
close = Close
cancel = Cancel
back-home = Back to classifying
error-prefix = Error:
nav-main = Main
nav-clinic = Clinic
nav-classify = Classify
nav-model = Model card
nav-docs = API
foot-model = Model in use
foot-since = made on { $date }

# The form
classify-lead = Clinical decision support. The result is a guide; the diagnosis is yours.
patient-data = Patient data
classify = Classify
new-patient = New patient
range = From { $min } to { $max } { $unit }
range-of = { $label } from { $min } to { $max }
choose = { $label }: choose one
note-hint = Optional, at most { $max } characters. Used for this answer only: the text is not kept
unusual-low = { $label }: unusually low value. Check that it is right.
unusual-high = { $label }: unusually high value. Check that it is right.
errors-head = { $n ->
    [one] Check 1 value before classifying
   *[other] Check { $n } values before classifying
 }
no-result = No result yet
no-result-yet = Enter the patient's data and press “Classify”.
no-result-errors = Correct the values that are marked and press “Classify”.

# The result
probability = probability
probabilities = Probabilities
probabilities-caption = Probability of each result
probability-head = Probability
frequency = Of 100 patients with a result like this one, about { $count } are expected to be “{ $label }”.
rarity-tag = { $rarity } disease
orphan-suspected = Orphan disease: { $percent } probability. Above the alert threshold ({ $threshold }).
orphan-below = Orphan disease: { $percent } probability. Below the alert threshold ({ $threshold }).
nearest = Most similar orphan diseases
prevalence = Prevalence
disease = Disease
code = Code
case = Case
model = Model
print = PDF report
why = Why this result
why-raising = Raises the probability:
why-lowering = Lowers it:
why-nothing = No value moves the starting probability by much.
why-note = In percentage points. It explains how the model computed the result, not the cause of the disease.
waterfall-caption = How the model reaches the probability of { $what }
patient-datum = Patient value
as-picture = As a picture
effect = Effect
starting-point = Starting point
starting-point-note = Mean of the cohort
unsure = NOT SURE
unsure-advice = { $label } is the most probable, but the model does not commit itself: decide by other findings, or ask.
orphan-disease = Orphan disease

# Feedback
agree-question = Does it agree with your judgement?
agree = Agrees
feedback = Feedback
feedback-reviewed = Your answer is reviewed before it is used for training.
thanks-confirmed = Thank you. It is recorded that the result agrees with your judgement.
thanks-wrong = Thank you. Your feedback is in the review queue.
thanks-resolved = Thank you. Your feedback has been reviewed.
your-view = What is your view of the case?
model-said = The model said { $label } ({ $percent }).
not-known-yet = I do not know yet
not-known-yet-note = The case is marked for follow-up
rarity-question = Common or orphan disease? (optional)
disease-code = Disease code (optional)
disease-code-hint = For example ICD-10:I10 or ORPHA:586
comment = Comment (optional)
comment-hint = Leave out anything that identifies the patient
send-review = Send for review
choose-view = Choose your view of the case

# The printed report
report = Decision support report
report-inputs = Values entered
report-foot = Clinical decision support: it does not replace professional judgement. Model { $version }.
signature = Signature

# The model card
model-lead = Which model answers, from which data it was made, and how often it is right.
fact-version = Version
fact-dataset = Dataset version
fact-made = Made
fact-validated = Passed its gates
fact-champion = Promotion number
fact-run = Training run
fact-digest = Bundle digest
fact-study = Study digest
figures = Results
figures-validation = On the validation set, { $n } patients. 95% intervals.
figures-test = On the test set, { $n } patients, opened once only. 95% intervals.
figures-none = No evaluation of this model has been recorded yet.
figure = Measure
value = Value
interval = Interval
metric-f1_common = F1 in common diseases (mean of the classes)
metric-macro_f1 = Mean F1 of the classes, all patients
metric-f1 = F1 of “{ $label }”
metric-orphan_recall = Sensitivity for orphan disease
metric-orphan_precision = Predictive value of orphan alerts
metric-alerts_per_1000 = Alerts per 1000 patients
metric-number_needed_to_review = Alerts per orphan patient found
metric-orphan_average_precision = Average precision for orphan disease
metric-orphan_base_rate = Share of orphan patients
metric-orphan_roc_auc = Area under the ROC curve for orphan disease
metric-brier = Brier score (0 is perfect, 2 the worst)
metric-log_loss = Log loss
metric-calibration_error = Calibration error
metric-orphan_brier = Brier score for orphan disease
metric-orphan_log_loss = Log loss for orphan disease
metric-orphan_calibration_error = Calibration error for orphan disease
gates = Gates
gates-lead = The study's conditions that a model must hold before it is promoted.
gates-none = No gates are recorded for this model.
gate-holds = Holds
gate-fails = Does not hold
gate-undetermined = Undetermined
gate-measured = { $metric }: { $value }
gate-at-least = at least { $bound }
gate-at-most = at most { $bound }
gate-undefined = cannot be determined with these data
inputs = Values it uses
inputs-lead = Outside these limits nothing is classified; nothing is clipped or guessed.
accepts = Accepted
limits = Limits
limit-support = It supports the decision and does not diagnose. The decision is the professional's.
limit-inputs = It knows the values above only. What is not asked does not move the result.
limit-cause = The explanation says how the result was computed, not what causes the disease.
limit-population = Its figures hold for patients like those of its cohort. It says so when a patient is unusual.

# The interface for programs
parameter = Parameter
where = Place
meaning = Meaning
example = Example
answers = Answers
schemas = Schemas
problems = Problems

ceiling = What these inputs allow
ceiling-lead = The best that any model could do with the values asked for, if the calibrated probabilities are true.
ceiling-sufficient = Sufficient
ceiling-insufficient = Inputs insufficient
ceiling-unclear = Undetermined
ceiling-target = F1 target: { $target }
