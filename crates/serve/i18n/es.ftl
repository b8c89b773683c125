skip = Saltar al contenido
language = Idioma
theme = Cambiar entre tema claro y oscuro
close = Cerrar
cancel = Cancelar
back-home = Volver a clasificar
error-prefix = Error:
nav-main = Principal
nav-clinic = Clínica
nav-classify = Clasificar
nav-model = Ficha del modelo
nav-docs = API
foot-model = Modelo en uso
foot-since = hecho el { $date }

# The form
classify-lead = Apoyo a la decisión clínica. El resultado orienta; el diagnóstico es suyo.
patient-data = Datos del paciente
classify = Clasificar
new-patient = Paciente nuevo
range = De { $min } a { $max } { $unit }
range-of = { $label } de { $min } a { $max }
choose = { $label }: elija una opción
note-hint = Opcional, hasta { $max } caracteres. Solo se usa para esta respuesta: el texto no se guarda
unusual-low = { $label }: valor poco habitual por bajo. Compruebe que es correcto.
unusual-high = { $label }: valor poco habitual por alto. Compruebe que es correcto.
errors-head = { $n ->
    [one] Revise 1 dato antes de clasificar
   *[other] Revise { $n } datos antes de clasificar
 }
no-result = Sin resultado todavía
no-result-yet = Introduzca los datos del paciente y pulse «Clasificar».
no-result-errors = Corrija los datos señalados y pulse «Clasificar».

# The result
probability = probabilidad
probabilities = Probabilidades
probabilities-caption = Probabilidad de cada resultado
probability-head = Probabilidad
frequency = De cada 100 pacientes con un resultado como este, se espera «{ $label }» en unos { $count }.
rarity-tag = Enfermedad { $rarity }
orphan-suspected = Enfermedad huérfana: { $percent } de probabilidad. Supera el umbral de aviso ({ $threshold }).
orphan-below = Enfermedad huérfana: { $percent } de probabilidad. No llega al umbral de aviso ({ $threshold }).
nearest = Enfermedades huérfanas más parecidas
prevalence = Prevalencia
disease = Enfermedad
code = Código
case = Caso
model = Modelo
print = Informe PDF
why = Por qué este resultado
why-raising = Aumenta la probabilidad:
why-lowering = La reduce:
why-nothing = Ningún dato cambia apenas la probabilidad de partida.
why-note = En puntos porcentuales. Explica cómo ha calculado el modelo, no la causa de la enfermedad.
waterfall-caption = Cómo llega el modelo a la probabilidad de { $what }
patient-datum = Dato del paciente
as-picture = En gráfico
effect = Efecto
starting-point = Punto de partida
starting-point-note = Media de la cohorte
unsure = NO CONCLUYENTE
unsure-advice = Lo más probable es { $label }, pero el modelo no se pronuncia: decida con otros datos o consulte.
orphan-disease = Enfermedad huérfana

# Feedback
agree-question = ¿Coincide con su criterio?
agree = Coincide
feedback = Retroalimentación
feedback-reviewed = Su respuesta se revisa antes de usarse para entrenar.
thanks-confirmed = Gracias. Consta que el resultado coincide con su criterio.
thanks-wrong = Gracias. Su retroalimentación está en la cola de revisión.
thanks-resolved = Gracias. Su retroalimentación ya se ha revisado.
your-view = ¿Cuál es su valoración del caso?
model-said = El modelo dijo { $label } ({ $percent }).
not-known-yet = No lo sé todavía
not-known-yet-note = El caso queda marcado para seguimiento
rarity-question = ¿Enfermedad común o huérfana? (opcional)
disease-code = Código de la enfermedad (opcional)
disease-code-hint = Por ejemplo ICD-10:I10 u ORPHA:586
comment = Comentario (opcional)
comment-hint = No incluya datos que identifiquen al paciente
send-review = Enviar a revisión
choose-view = Elija su valoración del caso

# The printed report
report = Informe de apoyo a la decisión
report-inputs = Datos introducidos
report-foot = Apoyo a la decisión clínica: no sustituye el juicio del profesional. Modelo { $version }.
signature = Firma

# The model card
model-lead = Qué modelo responde, con qué datos se hizo y cómo de bien acierta.
fact-version = Versión
fact-dataset = Versión de los datos
fact-made = Hecho
fact-validated = Superó los controles
fact-champion = Orden de publicación
fact-run = Entrenamiento
fact-digest = Huella del paquete
fact-study = Huella del estudio
figures = Resultados
figures-validation = En el conjunto de validación, { $n } pacientes. Intervalos del 95 %.
figures-test = En el conjunto de prueba, { $n } pacientes, que se abrió una sola vez. Intervalos del 95 %.
figures-none = Todavía no hay una evaluación registrada de este modelo.
figure = Medida
value = Valor
interval = Intervalo
metric-f1_common = F1 en enfermedades comunes (media de las clases)
metric-macro_f1 = F1 medio de las clases, todos los pacientes
metric-f1 = F1 de «{ $label }»
metric-orphan_recall = Sensibilidad para enfermedad huérfana
metric-orphan_precision = Valor predictivo de los avisos de huérfana
metric-alerts_per_1000 = Avisos por cada 1000 pacientes
metric-number_needed_to_review = Avisos por cada paciente con huérfana hallado
metric-orphan_average_precision = Precisión media para huérfana
metric-orphan_base_rate = Proporción de pacientes con huérfana
metric-orphan_roc_auc = Área bajo la curva ROC para huérfana
metric-brier = Brier (0 es perfecto, 2 lo peor)
metric-log_loss = Pérdida logarítmica
metric-calibration_error = Error de calibración
metric-orphan_brier = Brier para huérfana
metric-orphan_log_loss = Pérdida logarítmica para huérfana
metric-orphan_calibration_error = Error de calibración para huérfana
gates = Controles
gates-lead = Condiciones del estudio que un modelo debe cumplir antes de publicarse.
gates-none = No constan controles para este modelo.
gate-holds = Se cumple
gate-fails = No se cumple
gate-undetermined = Sin determinar
gate-measured = { $metric }: { $value }
gate-at-least = mínimo { $bound }
gate-at-most = máximo { $bound }
gate-undefined = no se puede determinar con estos datos
inputs = Datos que usa
inputs-lead = Fuera de estos límites no se clasifica; nada se recorta ni se supone.
accepts = Se acepta
limits = Límites
limit-support = Apoya la decisión; no diagnostica. La decisión es del profesional.
limit-inputs = Solo conoce los datos de arriba. Lo que no se pregunta no influye en el resultado.
limit-cause = La explicación dice cómo se calculó el resultado, no qué causa la enfermedad.
limit-population = Sus cifras valen para pacientes como los de su cohorte. Con pacientes poco frecuentes lo avisa.

# The interface for programs
parameter = Parámetro
where = Lugar
meaning = Significado
example = Ejemplo
answers = Respuestas
schemas = Esquemas
problems = Problemas

ceiling = Lo que permiten estos datos
ceiling-lead = Lo mejor que podría hacer cualquier modelo con los datos que se piden, si las probabilidades calibradas son ciertas.
ceiling-sufficient = Suficientes
ceiling-insufficient = Datos insuficientes
ceiling-unclear = Sin determinar
ceiling-target = Objetivo de F1: { $target }
