# Monitoring
nav-monitor = Monitoring
monitor-none = The model in use has not been looked at yet.
monitor-none-how = For the first look, run
monitor-lead = Model { $model }, from { $from } to { $to }, beside its training cohort. Last look: { $at }.
monitor-quiet = No open alerts.
monitor-alarmed = { $n ->
    [one] 1 open alert.
   *[other] { $n } open alerts.
 }
monitor-see = See the alerts
as-table = See the data as a table

# Figures
tile-served = Classifications
tile-arrived = { $arrived } cases arrived, { $confirmed } confirmed
tile-f1 = F1 of the common diseases
tile-recall = Recall, orphan diseases
tile-target = target { $target }
tile-unconfirmed = no confirmed cases
tile-promised = no confirmed cases; { $low }–{ $high } expected
tile-drift = Values that drift
tile-of = of { $n }
tile-drifting = other patients, or measured otherwise
tile-same-patients = the same patients
tile-refused = Rows refused
tile-rows = of { $n } new rows
tile-waiting = Reviews waiting
tile-waiting-note = cases that wait for a doctor
figure-long = { $value } ({ $low }–{ $high }; n = { $n })
figure-undefined = none
light-green = good
light-amber = watch
light-red = alert
light-grey = few cases

# Over time
trend = Right on confirmed cases
trend-lead = Cases that came after the training. Where alerts are reviewed, recall is that of the answers given, as if every outcome were known. Vertical lines are 95% intervals.
trend-none = There are no confirmed cases to measure with yet.
chart-figures-title = F1 and recall by look
chart-f1 = F1 common
chart-recall = Orphan recall
chart-target = target { $target }
chart-rate-title = Share of comparisons with drift, by look
chart-drift = With drift
rate = Drift over time
rate-lead = Share of the comparisons in which patients differ notably from those of the training.
rate-table = The figures are in the table of

# Alerts
alerts-open = Open alerts
alerts-none = None. The rules hold, or there are too few cases to judge them.
alerts-more = { $n ->
    [one] See 1 more alert
   *[other] See { $n } more alerts
 }
alerts-ended = Alerts that are over
alert-raised = nobody looks after it
alert-acknowledged = looked after
alert-resolved = over
alert-acknowledge = I look after it
alert-resolve = It is over
alert-drift = Drift in { $name } · { $group }
alert-performance-f1-common = F1 of the common diseases below the target
alert-performance-orphan-recall = Recall for orphan diseases below the target
alert-calibration = Probabilities out of calibration: { $subject }
alert-quality-swapped = Pressures exchanged in source { $subject }
alert-quality-refused = Many rows refused in source { $subject }
detail-drift = Distance { $distance }, PSI { $psi }, { $n } patients.
detail-performance = { $value } (95% CI { $low }–{ $high }; n = { $n }); target { $target }.
detail-calibration = { $observed } confirmed cases; the model expected { $expected } among { $n }.
detail-quality = { $share } of { $n } new rows; limit { $limit }.

# Drift
drift = Drift by value
drift-lead = Distance between the training cohort and { $group }. The mark is the limit ({ $limit }).
drift-none = There are no patients to compare yet.
drift-all = See every comparison, by source, too
drift-major = major drift
drift-notable = drift
drift-slight = slight change
drift-stable = stable
drift-few = few patients
drift-category = { $name } (category)
drift-answers = The model's answers
drift-answer-severity = Severity answered
drift-answer-alarm = Suspicion of an orphan disease
drift-answer-probability = Probability of an orphan disease
group-everybody = everybody
group-served = the patients classified
group-arrived = the cases that arrived
group-source = source { $source }
pictures = Reference and now
key-reference = Training (n = { $n })
key-window = { $group } (n = { $n })
histogram-title = { $name }: training and the current period
histogram-summary = Distance { $distance }: { $state }

# How right
classes = By result and kind of disease
performance-none = No confirmed case arrived in this period: how right the model is cannot be known.
performance-lead = { $n ->
    [one] 1 confirmed case that the model has not seen in training.
   *[other] { $n } confirmed cases that the model has not seen in training.
 }
class-common = All common ones
diseases = By disease
diseases-lead = Precision: of those who get the answer that is right for the disease, the share who have it.
calibration = Calibration
calibration-lead = How many cases of each class there were, and how many the probabilities had promised.
beside = What is known beside it
beside-expected = What the model's own probabilities promise
beside-expected-note = True only if the model is calibrated on these patients: a band, no proof.
beside-reviewed = { $n ->
    [one] 1 reviewed answer
   *[other] { $n } reviewed answers
 }
beside-reviewed-note = Mostly doubtful answers are reviewed: in general the model is better. They raise no alert.
beside-followed = { $n ->
    [one] 1 answer with an outcome from a file
   *[other] { $n } answers with outcomes from files
 }
beside-followed-note = Outcomes that were brought in the period, also of answers by earlier models. They raise no alert.

# Quality
quality = Quality of the data by source
quality-lead = New rows of the period. A device that exchanges the two pressures shows here, in its source.
quality-none = No file arrived in this period.
reason-missing = missing
reason-wrong-type = wrong type
reason-unknown-code = unknown code
reason-out-of-range = out of range
reason-inconsistent = inconsistent

# Models
timeline = Life of the model
timeline-lead = Which model answered, since when and why.
timeline-none = No model has been put into use yet.

# Columns
col-date = Date
col-model = Model
col-group = Who
col-name = Value
col-patients = Patients
col-distance = Distance
col-p = adjusted p
col-state = State
col-value = Value
col-reference = Training
col-window = Now
col-class = Group
col-cases = Cases
col-precision = Precision
col-recall = Recall
col-disease = Disease
col-observed = Confirmed
col-promised = Promised
col-origin = From where
col-source = Source
col-accepted = Accepted
col-refused = Refused
col-duplicates = Repeated
col-swapped = Exchanged
col-other-refusals = Other refusals
col-reasons = Reasons
